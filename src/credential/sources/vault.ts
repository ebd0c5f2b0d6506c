/**
 * Duty: credentials from Vault or OpenBao.
 * In → Out: Workload → a token of its login → read → `Grant`.
 * Holds: each grant has a login of its own, and is ended with it; a borrowed token is left alone, and its leases are revoked one by
 *   one; the grant ends with the earlier of lease and token, counted
 *   from before the call; of a token with counted uses one is kept back to revoke it.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: Vault concepts "Lease, renew and revoke", "Tokens" (a lease ends with the token that made it).
 * Not here: as whom and how to log in (vault-login.ts), when to replace a grant (../lease-slot.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError, toEgressError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { VaultClient, VaultReply, VaultToken } from '../../vault/client.ts';
import { destroySecrets } from '../../vault/json.ts';
import type { Workload } from '../../workload/workload.ts';
import type { DeliveryOrder } from '../credential.ts';
import type { JournalNote, LeaseJournal } from '../journal.ts';
import type { VaultSourceOptions } from '../options.ts';
import { type CredentialSource, destroyParts, type Grant } from '../source.ts';
import { expandTemplate } from '../template.ts';
import { type Parts, partsOf } from './credential-parts.ts';
import type { VaultLogin } from './vault-login.ts';

export interface VaultSourceParts {
  readonly options: VaultSourceOptions;
  /** Of `options.address`; the source does not close it. */
  readonly client: VaultClient;
  readonly clock: Clock;
  readonly login: VaultLogin;
  /** `document`: grants hold the engine's answer as it was sent, and nothing else. */
  readonly form?: DeliveryOrder['form'];
  /** Where tokens are noted before they are used; absent: a crash leaves what it leaves. */
  readonly journal?: LeaseJournal;
}

/** What has no lease of its own is read again after this time at the latest. */
const MAX_UNLEASED_MS = 5 * 60_000;
/** No answer is believed for longer. */
const MAX_LEASE_MS = 24 * 60 * 60_000;
const CLEANUP_MS = 2000;

export function createVaultSource(parts: VaultSourceParts): CredentialSource {
  return {
    name: parts.options.name,
    fetch: (workload, signal) => fetchGrant(parts, workload, signal),
  };
}

async function fetchGrant(source: VaultSourceParts, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const path = expandTemplate(source.options.path, workload);
  const held = await hold(source, workload, signal);
  const shown = held.token.isBorrowed === true ? held.token.token.clone() : null;
  try {
    return await grantWith(source, workload, held, path, signal);
  } catch (thrown) {
    if (shown === null || !isRefusal(thrown)) throw thrown;
    const other = await hold(source, workload, signal);
    // Its owner may have put another one in its place.
    if (!isSame(other.token.token, shown)) return await grantWith(source, workload, other, path, signal);
    other.token.token.destroy();
    throw thrown;
  } finally {
    shown?.destroy();
  }
}

interface HeldToken {
  readonly token: VaultToken;
  readonly endsAt: number;
}

async function hold({ login, clock }: VaultSourceParts, workload: Workload, signal: AbortSignal): Promise<HeldToken> {
  const startMs = clock.monotonicMs();
  const token = await login(workload, signal);
  return { token, endsAt: endOfToken(startMs, token.leaseDurationMs) };
}

/** Takes ownership of the token. */
async function grantWith(
  source: VaultSourceParts,
  workload: Workload,
  { token, endsAt: tokenEndsAt }: HeldToken,
  path: string,
  signal: AbortSignal,
): Promise<Grant> {
  const { options, client, clock } = source;
  const note = noteIn(source, workload, tokenEndsAt, { accessor: token.accessor, leaseId: '' });
  let leaseId: string | null = null;
  try {
    const readAt = clock.monotonicMs();
    const { method, parameters } = options;
    const isWhole = source.form === 'document';
    const reply = await client.read(token, path, { method, parameters, keepsDocument: isWhole }, signal);
    leaseId = reply.leaseId === '' ? null : reply.leaseId;
    const grant = new VaultGrant(source, {
      ...{ workload, token, reply, tokenEndsAt },
      parts: isWhole ? wholeOf(reply) : partsOf(reply.data, options.fields),
      leaseEndsAt: endOf(readAt, leaseMs(reply)),
      note: note ?? noteIn(source, workload, tokenEndsAt, { accessor: '', leaseId: reply.leaseId }),
    });
    if (grant.expiresAtMonotonicMs > clock.monotonicMs()) return grant;
    destroyParts(grant);
    throw new EgressError('credential_invalid', {
      detail: 'the lease of the credential source ends before it can be used',
    });
  } catch (thrown) {
    // Ends what the read may have left behind. Who waits is told at once where it was given up (../deadline.ts).
    await endToken(source, token, leaseId, note, AbortSignal.timeout(CLEANUP_MS)).catch(() => {});
    throw token.numUses === 1 ? withSingleUseHint(thrown) : thrown;
  }
}

/** 401 or 403: the token itself, not what it asked for. */
function isRefusal(thrown: unknown): boolean {
  const { code, retryAfterMs } = toEgressError(thrown);
  return code === 'credential_denied' && retryAfterMs === null;
}

const isSame = (one: Secret, other: Secret): boolean => one.reveal().equals(other.reveal());

/** Takes ownership of the reply's secrets. */
function wholeOf({ data, document }: VaultReply): Parts {
  destroySecrets(data);
  if (document === null) throw new EgressError('internal', { detail: 'the answer was not kept' });
  return new Map([['document', document]]);
}

/** The token where it can be revoked, and all that it makes with it; otherwise the lease. Null where there is neither. */
function noteIn(
  { journal, options, clock }: VaultSourceParts,
  workload: Workload,
  endsAtMonotonicMs: number,
  { accessor, leaseId }: { readonly accessor: string; readonly leaseId: string },
): JournalNote | null {
  if (journal === undefined || (accessor === '' && leaseId === '')) return null;
  return journal.note({
    source: options.name,
    workload: workload.name,
    accessor: accessor === '' ? null : accessor,
    leaseId: leaseId === '' ? null : leaseId,
    endsAt: Math.round(clock.now() + endsAtMonotonicMs - clock.monotonicMs()),
  });
}

const endOf = (startMs: number, ttlMs: number): number => startMs + Math.min(ttlMs, MAX_LEASE_MS);
/** A token with no duration does not end. */
const endOfToken = (startMs: number, ttlMs: number): number => endOf(startMs, ttlMs === 0 ? MAX_LEASE_MS : ttlMs);

/** How long the answer holds by itself; 0 for a lease of no length. */
function leaseMs(reply: VaultReply): number {
  if (reply.leaseId !== '') return reply.leaseDurationMs;
  // Newer Vault makes no lease for STS and says in the data how long the keys live; KV gives a hint or nothing.
  const ttl = reply.data.get('ttl');
  if (typeof ttl === 'number' && Number.isSafeInteger(ttl) && ttl > 0) return ttl * 1000;
  return reply.leaseDurationMs > 0 ? Math.min(reply.leaseDurationMs, MAX_UNLEASED_MS) : MAX_UNLEASED_MS;
}

interface VaultGrantParts {
  readonly workload: Workload;
  readonly token: VaultToken;
  readonly reply: VaultReply;
  readonly parts: Parts;
  readonly tokenEndsAt: number;
  readonly leaseEndsAt: number;
  readonly note: JournalNote | null;
}

class VaultGrant implements Grant {
  readonly parts: Parts;
  readonly leaseId: string | null;
  readonly accessor: string | null;
  readonly expiresAtMonotonicMs: number;
  readonly renewable: boolean;
  readonly #source: VaultSourceParts;
  readonly #workload: Workload;
  readonly #token: VaultToken;
  readonly #incrementMs: number;
  readonly #note: JournalNote | null;
  #tokenEndsAt: number;

  constructor(source: VaultSourceParts, made: VaultGrantParts) {
    const { workload, token, reply, parts, tokenEndsAt, leaseEndsAt, note } = made;
    this.#source = source;
    this.#workload = workload;
    this.#token = token;
    this.#incrementMs = reply.leaseDurationMs;
    this.#tokenEndsAt = tokenEndsAt;
    this.#note = note;
    this.parts = parts;
    this.leaseId = reply.leaseId === '' ? null : reply.leaseId;
    this.accessor = token.accessor === '' ? null : token.accessor;
    this.expiresAtMonotonicMs = Math.min(leaseEndsAt, this.#tokenEndsAt);
    // Counted uses would be used up by it.
    this.renewable = reply.renewable && this.leaseId !== null && token.numUses === 0;
  }

  renew(signal: AbortSignal): Promise<number> {
    if (this.#token.isBorrowed !== true) return this.#renewWith(this.#token, signal);
    return this.#withBorrowed(signal, async ({ token, endsAt }) => {
      // Where there is another one now, nobody keeps the one alive that made the lease.
      if (isSame(token.token, this.#token.token)) this.#endsLater(endsAt);
      return this.#renewWith(token, signal);
    });
  }

  async revoke(signal: AbortSignal): Promise<void> {
    const { leaseId } = this;
    if (this.#token.isBorrowed !== true || leaseId === null)
      return endToken(this.#source, this.#token, leaseId, this.#note, signal);
    this.#token.token.destroy();
    try {
      await this.#withBorrowed(signal, ({ token }) => this.#source.client.revokeLease(token, leaseId, signal));
      this.#note?.end();
    } catch (thrown) {
      this.#note?.abandon();
      throw thrown;
    }
  }

  async #renewWith(token: VaultToken, signal: AbortSignal): Promise<number> {
    const { client, clock } = this.#source;
    // The lease ends with the token, so the token comes first. Where it had an end, no time more means none.
    if (token.renewable) {
      const tokenStartMs = clock.monotonicMs();
      this.#endsLater(endOf(tokenStartMs, (await client.renewToken(token, signal)).leaseDurationMs));
    }
    const startMs = clock.monotonicMs();
    const lease = await client.renewLease(token, this.leaseId ?? '', this.#incrementMs, signal);
    return Math.min(endOf(startMs, lease.leaseDurationMs), this.#tokenEndsAt);
  }

  #endsLater(tokenEndsAt: number): void {
    const { clock } = this.#source;
    this.#tokenEndsAt = tokenEndsAt;
    this.#note?.extend(Math.round(clock.now() + tokenEndsAt - clock.monotonicMs()));
  }

  /** The one that its owner has put there by now: the one that made the lease may have ended. */
  async #withBorrowed<T>(signal: AbortSignal, use: (held: HeldToken) => Promise<T>): Promise<T> {
    const held = await hold(this.#source, this.#workload, signal);
    try {
      return await use(held);
    } finally {
      held.token.token.destroy();
    }
  }
}

/** Revokes the token, and with it the lease; a batch token cannot be and a borrowed one is not, so its lease is. Destroys the token on every path. */
async function endToken(
  source: VaultSourceParts,
  token: VaultToken,
  leaseId: string | null,
  note: JournalNote | null,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (token.isBorrowed === true || token.kind === 'batch') {
      if (leaseId !== null) await source.client.revokeLease(token, leaseId, signal);
    } else if (token.numUses !== 1) {
      await source.client.revokeSelf(token, signal);
    }
    note?.end();
  } catch (thrown) {
    note?.abandon();
    throw thrown;
  } finally {
    token.token.destroy();
  }
}

/** Vault takes a leased credential back at once where the read was the token's last use, and says so with a bare failure. */
function withSingleUseHint(thrown: unknown): EgressError {
  const error = toEgressError(thrown);
  const detail = `${error.detail ?? 'the read failed'}; the role gives tokens of one use, which cannot read a leased credential: set token_num_uses to 0 or 2`;
  return new EgressError(error.code, {
    detail,
    cause: error.cause,
    ...(error.retryAfterMs === null ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
