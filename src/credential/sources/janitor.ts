/**
 * Duty: revokes at Vault what a crash of this proxy has left behind.
 * In → Out: the journal's orphans → each revoked by its accessor (or lease id), or told to be left until its time is over.
 * Holds: it logs in as the proxy itself, in the way that the source names for this; a source without one
 *   has its orphans left; what could not be tried is tried again, 1 s to 60 s later, until it has ended by itself.
 * Fails: never; it tells.
 * Source: Vault HTTP API (auth/token/revoke-accessor, sys/leases/revoke): neither is in the default policy.
 * Not here: what runs now (../lease-cache.ts), the journal's file (store/).
 */
import type { Clock, ScheduledTask } from '../../core/clock.ts';
import { toEgressError } from '../../core/errors.ts';
import type { VaultClient, VaultToken } from '../../vault/client.ts';
import type { Workload } from '../../workload/workload.ts';
import type { LeaseJournal, Orphan } from '../journal.ts';
import { backOffMs } from '../pacing.ts';
import type { VaultLogin } from './vault-login.ts';

/** What one sweep came to. */
export interface OrphanReport {
  readonly source: string;
  readonly revoked: number;
  /** Ended by themselves. */
  readonly ended: number;
  readonly left: number;
  /** Epoch `ms` at which the last of those that are left has ended at the latest; null where none is. */
  readonly endsAt: number | null;
  /** Why some are left: `no_role`, `unknown_source`, or the code of a failure; null where none is. */
  readonly reason: string | null;
}

export interface JanitorParts {
  readonly journal: LeaseJournal;
  readonly clock: Clock;
  readonly random: () => number;
  /** Null where the configuration has no such source any more. */
  readonly sourceOf: (name: string) => { readonly client: VaultClient; readonly revocation: VaultLogin | null } | null;
  /** The proxy as a workload of its own. */
  readonly self: Workload;
  /** Must not throw. */
  readonly report: (report: OrphanReport) => void;
}

const CALL_MS = 5_000;
const WAKE_MS = 30_000;

export class Janitor {
  readonly #parts: JanitorParts;
  readonly #end = new AbortController();
  #timer: ScheduledTask | null = null;
  #sweeps = 0;

  constructor(parts: JanitorParts) {
    this.#parts = parts;
  }

  /** There may be more: sweeps within a minute. */
  wake(): void {
    this.#timer ??= this.#parts.clock.schedule(WAKE_MS, () => void this.sweep());
  }

  /** Resolves when every source was tried once; goes on by itself where that failed. */
  async sweep(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const bySource = Map.groupBy(this.#parts.journal.orphans(), ({ source }) => source);
    const reports = await Promise.all([...bySource].map(([source, orphans]) => this.#sweepSource(source, orphans)));
    if (this.#end.signal.aborted) return;
    const isOpen = reports.some(({ left, reason }) => left > 0 && reason !== 'no_role' && reason !== 'unknown_source');
    this.#sweeps = isOpen ? this.#sweeps + 1 : 0;
    if (isOpen)
      this.#timer ??= this.#parts.clock.schedule(backOffMs(this.#sweeps, this.#parts.random), () => void this.sweep());
  }

  close(): void {
    this.#end.abort();
    this.#timer?.cancel();
  }

  async #sweepSource(name: string, orphans: readonly Orphan[]): Promise<OrphanReport> {
    const { journal, clock, report } = this.#parts;
    const now = clock.now();
    const past = orphans.filter(({ endsAt }) => endsAt <= now);
    for (const orphan of past) journal.settle(orphan);
    const live = orphans.filter(({ endsAt }) => endsAt > now);
    const reason = live.length === 0 ? null : await this.#revokeAll(name, live);
    const ids = new Set(journal.orphans().map(({ id }) => id));
    const left = live.filter(({ id }) => ids.has(id));
    const told: OrphanReport = {
      source: name,
      revoked: live.length - left.length,
      ended: past.length,
      left: left.length,
      endsAt: left.length === 0 ? null : Math.max(...left.map(({ endsAt }) => endsAt)),
      reason: left.length === 0 ? null : reason,
    };
    if (!this.#end.signal.aborted) report(told);
    return told;
  }

  /** Why not all of them; null where nothing went wrong. */
  async #revokeAll(name: string, orphans: readonly Orphan[]): Promise<string | null> {
    const { sourceOf, self } = this.#parts;
    try {
      const source = sourceOf(name);
      if (source === null) return 'unknown_source';
      const { client, revocation } = source;
      if (revocation === null) return 'no_role';
      const token = await revocation(self, this.#signal());
      try {
        let reason: string | null = null;
        for (const orphan of orphans) reason = (await this.#revoke(client, token, orphan)) ?? reason;
        return reason;
      } finally {
        if (token.isBorrowed !== true) await client.revokeSelf(token, this.#signal()).catch(() => {});
        token.token.destroy();
      }
    } catch (thrown) {
      return toEgressError(thrown).code;
    }
  }

  async #revoke(client: VaultClient, token: VaultToken, orphan: Orphan): Promise<string | null> {
    const { accessor, leaseId } = orphan;
    try {
      if (accessor !== null) await client.revokeAccessor(token, accessor, this.#signal());
      else if (leaseId !== null) await client.revokeLease(token, leaseId, this.#signal());
    } catch (thrown) {
      const { code, retryAfterMs } = toEgressError(thrown);
      // 400 and 404: Vault does not know it any more. A refusal of the janitor itself says when never to come back.
      const isGone = code === 'credential_denied' && retryAfterMs !== null;
      if (!isGone) return code;
    }
    this.#parts.journal.settle(orphan);
    return null;
  }

  #signal(): AbortSignal {
    return AbortSignal.any([this.#end.signal, AbortSignal.timeout(CALL_MS)]);
  }
}
