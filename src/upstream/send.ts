/**
 * Duty: sends an authorized request to the destination that policy named, once.
 * In → Out: AuthorizedRequest → UpstreamResponse.
 * Holds: the destination is the permit's authority and nothing the request says; a credential goes over https only; a
 *   request is repeated only where its connection had been used before, answered nothing, and the method is safe.
 * Fails: the upstream section of core/errors.ts.
 * Source: RFC 9110 §9.2.2, RFC 9112 §9.3.1.
 * Not here: the single parts (`resolve.ts`, `dial.ts`, `pool.ts`, `outbound.ts`).
 */
import type { Clock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import { type Dialled, dial } from './dial.ts';
import type { UpstreamOptions } from './options.ts';
import { Outbound } from './outbound.ts';
import { type Claim, Pool } from './pool.ts';
import { createResolver, type Lookup } from './resolve.ts';
import { createTrust } from './trust.ts';
import type { PoolKey, UpstreamConnection } from './upstream-connection.ts';
import type { UpstreamResponse, UpstreamStage } from './upstream-response.ts';
import { createWayOut } from './ways-out.ts';

export interface UpstreamParts {
  readonly clock: Clock;
  /** Certificate of our own CA, PEM, which must not be trusted here; null where there is none. */
  readonly issuingCa: string | null;
  /** Proxy-Authorization for `options.proxy`, which the receiver zeroes; absent: none. */
  readonly proxyLogin?: ((signal: AbortSignal) => Promise<Buffer>) | null;
  /** Default: DNS. */
  readonly lookup?: Lookup;
}

/** @throws EgressError `configuration_invalid` for roots or addresses that cannot be used. */
export function createUpstreamStage(options: UpstreamOptions, parts: UpstreamParts): UpstreamStage {
  const { clock } = parts;
  const pool = new Pool(options, clock);
  const deadlines = new Deadlines(clock, Math.min(options.idleTimeoutMs, options.responseHeadTimeoutMs));
  const dialParts = {
    trust: createTrust(options.extraRoots, parts.issuingCa),
    clock,
    connectTimeoutMs: options.connectTimeoutMs,
  };
  const resolver = createResolver(options, parts);
  const wayOut = createWayOut(options.proxy ?? null, parts.proxyLogin ?? null);
  const outboundParts = { pool, deadlines, clock, options };

  const connect = async (request: AuthorizedRequest, signal: AbortSignal): Promise<Dialled> => {
    const { authority } = request.permit.facts;
    if (signal.aborted) throw toEgressError(signal.reason);
    const targets = await unlessAborted(resolver.resolve(authority), signal);
    const via = wayOut(authority, targets);
    return dial({ authority, scheme: schemeOf(request), targets, via, signal }, dialParts);
  };

  const connection = async (request: AuthorizedRequest, claim: Claim): Promise<UpstreamConnection> => {
    const idle = claim.mustBeNew ? null : await pool.take(claim);
    return idle ?? pool.acquire(claim, () => connect(request, claim.signal));
  };

  const send = async (request: AuthorizedRequest, signal: AbortSignal): Promise<UpstreamResponse> => {
    if (signal.aborted) throw toEgressError(signal.reason);
    const key = poolKey(request);
    const isIdempotent = IDEMPOTENT.has(request.head.method);
    // A connection that becomes a WebSocket has had no other use, and has none afterwards.
    for (let mustBeNew = request.head.upgrade !== undefined; ; mustBeNew = true) {
      const used = await connection(request, { key, isIdempotent, mustBeNew, signal });
      const outbound = new Outbound(request, used, outboundParts, signal);
      try {
        const { head, body, upgraded } = await outbound.run();
        const answer = { request, head, body, address: used.address, reusedConnection: outbound.wasUsed };
        return upgraded === undefined ? answer : { ...answer, upgraded };
      } catch (thrown) {
        if (toEgressError(thrown).code !== 'connection_terminated' || !outbound.mayRepeat) throw thrown;
      }
    }
  };

  return { send, forget: (credentialKey) => pool.forget(credentialKey), close: () => pool.close() };
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** @throws EgressError `internal` where a credential would go in the clear. */
function schemeOf({ head, credential, secretFields }: AuthorizedRequest): 'http' | 'https' {
  if (head.scheme !== 'http') return 'https';
  if (credential !== null || secretFields.length > 0)
    throw new EgressError('internal', { detail: 'credential on plain http' });
  return 'http';
}

/** NUL stands in none of the parts. */
function poolKey(request: AuthorizedRequest): PoolKey {
  const { workload, authority } = request.permit.facts;
  const credentialKey = request.credential?.key ?? null;
  const text = `${workload.name}\0${workload.instance ?? ''}\0${credentialKey ?? '-'}\0${schemeOf(request)}\0${authority.text}`;
  return { text, workload: workload.name, credentialKey };
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
