/**
 * Duty: credentials from Vault or OpenBao, obtained as the workload itself.
 * In → Out: Workload → a token minted for it → login → read → `Grant`.
 * Holds: nobody's Vault token but the workload's own is used; the grant ends with the earlier of lease and token, counted
 *   from before the call; of a token with counted uses one is kept back to revoke it.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: Vault concepts "Lease, renew and revoke", "Tokens" (a lease ends with the token that made it).
 * Not here: when to replace a grant (../lease-slot.ts).
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
import { type Parts, partsOf } from './vault-fields.ts';

export interface VaultSourceParts {
  readonly options: VaultSourceOptions;
  /** Of `options.address`; the source does not close it. */
  readonly client: VaultClient;
  readonly clock: Clock;
  /** A workload token (JWT) for that audience; the source destroys it. */
  mintToken(workload: Workload, audience: readonly string[]): Promise<Secret>;
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
  const { options, client, clock } = source;
  const { mount, audience } = options.auth;
  const role = expandTemplate(options.auth.role, workload);
  const path = expandTemplate(options.path, workload);
  const jwt = await source.mintToken(workload, audience);
  const loginAt = clock.monotonicMs();
  const token = await client.login(mount, { role, jwt }, signal).finally(() => jwt.destroy());
  const tokenEndsAt = endOfToken(loginAt, token.leaseDurationMs);
  const note = noteIn(source, workload, tokenEndsAt, { accessor: token.accessor, leaseId: '' });
  try {
    const readAt = clock.monotonicMs();
    const { method, parameters } = options;
    const isWhole = source.form === 'document';
    const reply = await client.read(token, path, { method, parameters, keepsDocument: isWhole }, signal);
    const leaseEndsAt = endOf(readAt, leaseMs(reply));
    const grant = new VaultGrant(source, {
      token,
      reply,
      parts: isWhole ? wholeOf(reply) : partsOf(reply.data, options.fields),
      tokenEndsAt,
      leaseEndsAt,
      note: note ?? noteIn(source, workload, tokenEndsAt, { accessor: '', leaseId: reply.leaseId }),
    });
    if (grant.expiresAtMonotonicMs > clock.monotonicMs()) return grant;
    destroyParts(grant);
    throw new EgressError('credential_invalid', {
      detail: 'the lease of the credential source ends before it can be used',
    });
  } catch (thrown) {
    // Ends what the read may have left behind. Who waits is told at once where it was given up (../deadline.ts).
    await endToken(source, token, null, note, AbortSignal.timeout(CLEANUP_MS)).catch(() => {});
    throw token.numUses === 1 ? withSingleUseHint(thrown) : thrown;
  }
}

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
  readonly #token: VaultToken;
  readonly #incrementMs: number;
  readonly #note: JournalNote | null;
  #tokenEndsAt: number;

  constructor(source: VaultSourceParts, { token, reply, parts, tokenEndsAt, leaseEndsAt, note }: VaultGrantParts) {
    this.#source = source;
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

  async renew(signal: AbortSignal): Promise<number> {
    const { client, clock } = this.#source;
    // The lease ends with the token, so the token comes first.
    if (this.#token.renewable) {
      const startMs = clock.monotonicMs();
      // Where it had an end, no time more means none.
      this.#tokenEndsAt = endOf(startMs, (await client.renewToken(this.#token, signal)).leaseDurationMs);
      this.#note?.extend(Math.round(clock.now() + this.#tokenEndsAt - clock.monotonicMs()));
    }
    const startMs = clock.monotonicMs();
    const lease = await client.renewLease(this.#token, this.leaseId ?? '', this.#incrementMs, signal);
    return Math.min(endOf(startMs, lease.leaseDurationMs), this.#tokenEndsAt);
  }

  revoke(signal: AbortSignal): Promise<void> {
    return endToken(this.#source, this.#token, this.leaseId, this.#note, signal);
  }
}

/** Revokes the token, and with it the lease; a batch token cannot be, so its lease is. Destroys the token on every path. */
async function endToken(
  source: VaultSourceParts,
  token: VaultToken,
  leaseId: string | null,
  note: JournalNote | null,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (token.kind === 'batch') {
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
