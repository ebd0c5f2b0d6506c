/**
 * Duty: the part of the API of Vault and OpenBao that leases need: log in, read, renew, revoke, health.
 * In → Out: a role and a workload token → `VaultToken`; a token and a path → `VaultReply`.
 * Holds: path segments are encoded one by one and dot segments refused, so a path cannot leave its place; what lags behind
 *   or broke on the way is tried once more, nothing more often.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: Vault HTTP API (auth/jwt, sys/leases, auth/token); X-Vault-Request, X-Vault-Index.
 * Not here: whose credential it is and for how long (credential/).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { MAX_JSON_BYTES } from './json.ts';
import { type JsonBody, writeJsonBody } from './json-body.ts';
import {
  bareToken,
  borrowedTokenFrom,
  creationPathFrom,
  memberFrom,
  type Renewal,
  renewalFrom,
  replyFrom,
  tokenFrom,
  type VaultReply,
  type VaultToken,
} from './reply.ts';
import { failureOf, type HealthState, healthOf, isWorthRetrying, standbyFailure } from './status.ts';
import { type ClientCertificate, openTransport, type Transport, type TransportReply } from './transport.ts';

export type { JsonObject, JsonValue } from './json.ts';
export type { Renewal, VaultReply, VaultToken } from './reply.ts';
export type { HealthState } from './status.ts';

/** @throws EgressError `credential_unavailable` where the signal comes first. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

export interface VaultClientOptions {
  /** Origin without path: `https://vault.internal:8200`. */
  readonly address: string;
  readonly namespace: string | null;
  /** PEM roots that replace the bundled ones for this address. */
  readonly caPem?: string;
  readonly clientCertificate?: ClientCertificate;
  /** Other origins of the same Vault to which a call may be redirected, with its token; none where left out. */
  readonly redirects?: readonly string[];
  /** For the age of a token; absent: a 403 is believed as soon as the token has worked once. */
  readonly clock?: Pick<Clock, 'monotonicMs'>;
  /** Between two tries; real time where left out, as for the calls themselves. */
  readonly pause?: Pause;
  /** For one try; 2 s where left out. */
  readonly timeoutMs?: number;
  /** Largest reply in `bytes`; 256 KiB where left out, and at most. */
  readonly maxBodyBytes?: number;
}

export interface VaultRead {
  readonly method: 'GET' | 'POST';
  /** Query of a GET, body of a POST. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The reply's `document` is wanted. */
  readonly keepsDocument?: boolean;
}

/** Every call throws EgressError `credential_*`. Whoever got a `VaultToken` or `VaultReply` destroys its secrets. */
export interface VaultClient {
  /** Logs in at `auth/<mount>/login`. The caller destroys the secrets in `proof`. */
  login(mount: string, proof: JsonBody, signal: AbortSignal): Promise<VaultToken>;
  /** What there is to know of a token that somebody else made, where it may look; it is `token` itself that comes back in it. */
  lookupSelf(token: Secret, signal: AbortSignal): Promise<VaultToken>;
  /** Where the answer was made that this token wraps. */
  wrappingPath(wrappingToken: Secret, signal: AbortSignal): Promise<string>;
  /** This member of the wrapped answer, once; the caller destroys it. */
  unwrap(wrappingToken: Secret, member: string, signal: AbortSignal): Promise<Secret>;
  read(token: VaultToken, path: string, read: VaultRead, signal: AbortSignal): Promise<VaultReply>;
  renewToken(token: VaultToken, signal: AbortSignal): Promise<Renewal>;
  renewLease(token: VaultToken, leaseId: string, incrementMs: number, signal: AbortSignal): Promise<Renewal>;
  /** Ends the token and every lease that was made with it. */
  revokeSelf(token: VaultToken, signal: AbortSignal): Promise<void>;
  /** Ends another token and every lease that was made with it. Needs a policy that the default one does not give. */
  revokeAccessor(token: VaultToken, accessor: string, signal: AbortSignal): Promise<void>;
  /** Needs a policy that the default one does not give. */
  revokeLease(token: VaultToken, leaseId: string, signal: AbortSignal): Promise<void>;
  health(signal: AbortSignal): Promise<HealthState>;
  /** Cuts every connection. */
  close(): Promise<void>;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly token: VaultToken | null;
  readonly json: JsonBody | null;
}

/** A token is known to a standby a moment later than to the active node, whichever answered before. */
const YOUNG_MS = 5_000;
/** Long enough for a standby to catch up, short enough to fit twice into an exchange's deadline. */
const RETRY_DELAY_MS = 150;

/** @throws EgressError `configuration_invalid` where the address is not an origin. */
export function openVaultClient(options: VaultClientOptions): VaultClient {
  return new Client(
    openTransport({
      ...options,
      timeoutMs: options.timeoutMs ?? 2000,
      maxBodyBytes: Math.min(options.maxBodyBytes ?? MAX_JSON_BYTES, MAX_JSON_BYTES),
    }),
    options,
  );
}

class Client implements VaultClient {
  readonly #transport: Transport;
  /** Tokens that worked once: a 403 is meant from then on. */
  readonly #proven = new WeakSet<VaultToken>();
  /** Until when a token is young, by the monotonic clock. */
  readonly #youngUntil = new WeakMap<VaultToken, number>();
  readonly #clock: VaultClientOptions['clock'];
  readonly #pause: Pause;

  constructor(transport: Transport, { clock, pause = pauseFor }: VaultClientOptions) {
    this.#transport = transport;
    this.#clock = clock;
    this.#pause = pause;
  }

  async login(mount: string, proof: JsonBody, signal: AbortSignal): Promise<VaultToken> {
    const target = targetOf(`auth/${mount}/login`);
    const reply = await this.#call({ method: 'POST', target, token: null, json: proof }, signal);
    const token = tokenFrom(reply.body, reply.index);
    if (this.#clock !== undefined) this.#youngUntil.set(token, this.#clock.monotonicMs() + YOUNG_MS);
    return token;
  }

  async lookupSelf(token: Secret, signal: AbortSignal): Promise<VaultToken> {
    const target = targetOf('auth/token/lookup-self');
    const reply = await this.#call({ method: 'GET', target, token: bareToken(token, 0), json: null }, signal);
    return borrowedTokenFrom(reply.body, token);
  }

  async wrappingPath(wrappingToken: Secret, signal: AbortSignal): Promise<string> {
    const target = targetOf('sys/wrapping/lookup');
    const json = { token: wrappingToken };
    const reply = await this.#call({ method: 'POST', target, token: null, json }, signal);
    return creationPathFrom(reply.body);
  }

  async unwrap(wrappingToken: Secret, member: string, signal: AbortSignal): Promise<Secret> {
    // One use: a second try would find it used up, and blame somebody else for it.
    const reply = await this.#post('sys/wrapping/unwrap', bareToken(wrappingToken, 1), {}, signal);
    return memberFrom(reply.body, member);
  }

  async read(token: VaultToken, path: string, read: VaultRead, signal: AbortSignal): Promise<VaultReply> {
    const { method, parameters } = read;
    const target = method === 'GET' ? `${targetOf(path)}${queryOf(parameters)}` : targetOf(path);
    const reply = await this.#call({ method, target, token, json: method === 'GET' ? null : parameters }, signal);
    return replyFrom(reply.body, read.keepsDocument);
  }

  async renewToken(token: VaultToken, signal: AbortSignal): Promise<Renewal> {
    return renewalFrom((await this.#post('auth/token/renew-self', token, {}, signal)).body);
  }

  async renewLease(token: VaultToken, leaseId: string, incrementMs: number, signal: AbortSignal): Promise<Renewal> {
    const json = { lease_id: leaseId, increment: Math.ceil(incrementMs / 1000) };
    return renewalFrom((await this.#post('sys/leases/renew', token, json, signal)).body);
  }

  async revokeSelf(token: VaultToken, signal: AbortSignal): Promise<void> {
    (await this.#post('auth/token/revoke-self', token, {}, signal)).body?.fill(0);
  }

  async revokeAccessor(token: VaultToken, accessor: string, signal: AbortSignal): Promise<void> {
    (await this.#post('auth/token/revoke-accessor', token, { accessor }, signal)).body?.fill(0);
  }

  async revokeLease(token: VaultToken, leaseId: string, signal: AbortSignal): Promise<void> {
    (await this.#post('sys/leases/revoke', token, { lease_id: leaseId, sync: true }, signal)).body?.fill(0);
  }

  async health(signal: AbortSignal): Promise<HealthState> {
    const request = { method: 'GET', target: '/v1/sys/health', token: null, index: null, body: null } as const;
    const reply = await this.#transport.send(request, signal);
    return healthOf(reply.status);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #isStandby(signal: AbortSignal): Promise<boolean> {
    return (await this.health(signal).catch(() => null)) === 'standby';
  }

  #post(path: string, token: VaultToken, json: JsonBody, signal: AbortSignal): Promise<TransportReply> {
    return this.#call({ method: 'POST', target: targetOf(path), token, json }, signal);
  }

  async #call(call: Call, signal: AbortSignal): Promise<TransportReply> {
    const reply = await this.#try(call, signal).catch((error: unknown) => this.#afterBreak(error, call, signal));
    const { status } = reply;
    const standing =
      call.token === null ? null : { isUnproven: this.#isUnproven(call.token), numUses: call.token.numUses };
    const final = isWorthRetrying(status, standing) ? await this.#tryLater(call, signal) : reply;
    if (final.status !== 200 && final.status !== 204) {
      if (final.status === 500 && call.token !== null && (await this.#isStandby(signal))) throw standbyFailure();
      throw failureOf(final.status, final.retryAfter, call.token === null);
    }
    if (call.token !== null) this.#proven.add(call.token);
    return final;
  }

  #isUnproven(token: VaultToken): boolean {
    const isYoung = (this.#clock?.monotonicMs() ?? Infinity) < (this.#youngUntil.get(token) ?? 0);
    return isYoung || !this.#proven.has(token);
  }

  /**
   * A connection that broke says nothing about Vault. Repeating cannot leave a second credential behind: both would be
   * children of the same token and end with it. A token with counted uses may be spent already, so it gets one try; so
   * does a borrowed one, with which nothing ends.
   */
  async #afterBreak(error: unknown, call: Call, signal: AbortSignal): Promise<TransportReply> {
    const isRepeatable =
      error instanceof EgressError &&
      error.code === 'credential_unavailable' &&
      (call.token?.numUses ?? 0) === 0 &&
      call.token?.isBorrowed !== true;
    if (!isRepeatable || signal.aborted) throw error;
    return this.#tryLater(call, signal);
  }

  async #tryLater(call: Call, signal: AbortSignal): Promise<TransportReply> {
    await this.#pause(RETRY_DELAY_MS, signal);
    return this.#try(call, signal);
  }

  async #try(call: Call, signal: AbortSignal): Promise<TransportReply> {
    const body = call.json === null ? null : writeJsonBody(call.json);
    try {
      const { method, target } = call;
      return await this.#transport.send(
        { method, target, token: call.token?.token ?? null, index: call.token?.index ?? null, body },
        signal,
      );
    } finally {
      body?.fill(0);
    }
  }
}

const pauseFor: Pause = (ms, signal) =>
  delay(ms, undefined, { signal, ref: false }).catch(() => {
    throw new EgressError('credential_unavailable', { detail: 'the call was given up', retryAfterMs: 1000 });
  });

/** @throws EgressError `credential_invalid` for empty, `.` and `..` segments, and for control characters. */
function targetOf(path: string): string {
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..' || !isPrintable(segment))
      throw new EgressError('credential_invalid', {
        detail: 'the path at the credential source has a malformed segment',
      });
  }
  return `/v1/${segments.map(encodeURIComponent).join('/')}`;
}

const isPrintable = (text: string): boolean => !/\p{Cc}/u.test(text) && text.isWellFormed();

function queryOf(parameters: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(parameters).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}
