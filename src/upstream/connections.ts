/**
 * Duty: a connection for a request: one that is open, or a new one to an address that was checked.
 * In → Out: AuthorizedRequest, Claim → UpstreamConnection or Http2Connection.
 * Holds: the destination is the permit's authority and nothing the request says.
 * Fails: what resolving, dialling and the pools say.
 * Not here: the exchange on it (outbound.ts, http2-outbound.ts).
 */
import { EgressError, toEgressError } from '../core/errors.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { ClientIdentities } from './client-identities.ts';
import { type Dialled, type DialParts, dial } from './dial.ts';
import type { Http2Connection } from './http2-connection.ts';
import type { Http2Pool } from './http2-pool.ts';
import type { Claim, Pool } from './pool.ts';
import { OFFERS, type Wanted } from './protocol.ts';
import type { DialTarget } from './resolve.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { WayOut } from './ways-out.ts';

export interface ConnectionParts {
  readonly pool: Pool;
  readonly http2: Http2Pool;
  readonly dial: Omit<DialParts, 'trust'>;
  readonly identities: ClientIdentities;
  readonly wayOut: WayOut;
  readonly resolver: {
    resolve(authority: AuthorizedRequest['permit']['facts']['authority']): Promise<readonly DialTarget[]>;
  };
}

export class Connections {
  readonly #parts: ConnectionParts;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  /** @throws EgressError */
  async find(request: AuthorizedRequest, claim: Claim, wanted: Wanted): Promise<UpstreamConnection | Http2Connection> {
    const { pool, http2 } = this.#parts;
    const shared = wanted === 'http/1.1' ? null : http2.take(claim);
    if (shared !== null) return shared;
    const mayBeIdle = wanted === 'http/1.1' || (wanted === 'either' && http2.isWithout(claim.key));
    const idle = mayBeIdle && !claim.mustBeNew ? await pool.take(claim) : null;
    if (idle !== null) return idle;
    const dialNew = (): Promise<Dialled> => this.#dial(request, claim, wanted);
    return wanted === 'http/1.1' ? pool.acquire(claim, dialNew) : http2.acquire(claim, wanted === 'h2', dialNew);
  }

  async #dial(request: AuthorizedRequest, { signal }: Claim, wanted: Wanted): Promise<Dialled> {
    const { authority } = request.permit.facts;
    if (signal.aborted) throw toEgressError(signal.reason);
    const targets = await unlessAborted(this.#parts.resolver.resolve(authority), signal);
    const scheme = schemeOf(request);
    const via = this.#parts.wayOut(authority, targets);
    const trust = this.#parts.identities.contextFor(request);
    const parts = { ...this.#parts.dial, trust };
    return dial({ authority, scheme, targets, via, protocols: OFFERS[wanted], signal }, parts);
  }
}

/** @throws EgressError `internal` where a credential would go in the clear. */
export function schemeOf({ head, credential, secretFields }: AuthorizedRequest): 'http' | 'https' {
  if (head.scheme !== 'http') return 'https';
  if (credential !== null || secretFields.length > 0)
    throw new EgressError('internal', { detail: 'credential on plain http' });
  return 'http';
}

/** What others wait for too goes on; only this exchange leaves. */
async function unlessAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(toEgressError(signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([pending, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
