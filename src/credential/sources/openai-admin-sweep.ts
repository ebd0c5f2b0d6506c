/**
 * Duty: clears away the service accounts that nobody ended: those of a crashed proxy, of a lost answer, of a failed revocation.
 * In → Out: what OpenAI lists → the accounts with our mark that are past their end, deleted.
 * Holds: soon after the start and every hour; nothing without our mark is touched, and by age nothing before its end and some
 *   minutes more, counted by OpenAI's clock; two proxies with one mark may sweep at once, since what is gone counts as deleted.
 * Fails: throws nothing; what failed is tried again the next time, or when OpenAI says.
 */
import type { Clock, ScheduledTask } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { ListedAccount, OpenaiAdminApi } from './openai-admin-api.ts';
import { accountMarkIn } from './openai-admin-name.ts';

export interface SweepParts {
  readonly api: OpenaiAdminApi;
  readonly clock: Clock;
  readonly project: string;
  readonly owner: string;
  /** Lends the admin key for one task. */
  withKey<T>(signal: AbortSignal, task: (key: Secret) => Promise<T>): Promise<T>;
  /** Runs beside each sweep. Must not reject. */
  beside(signal: AbortSignal): Promise<void>;
  /** What a sweep did; must not throw. */
  report(outcome: SweepOutcome): void;
}

export interface SweepOutcome {
  readonly deleted: number;
  /** Null: everything was seen, and what had to go is gone. */
  readonly error: EgressError | null;
}

const FIRST_MS = 1000;
const EVERY_MS = 60 * 60_000;
/** After a doubt: whatever was under way at OpenAI is over. */
const DOUBT_MS = 30_000;
const RETRY_MS = 5 * 60_000;
const GRACE_MS = 5 * 60_000;
const MAX_PAGES = 100;
const MAX_DELETIONS = 1000;
const MAX_FAILURES = 3;
const MAX_SUSPECTS = 1000;

export class AccountSweep {
  readonly #parts: SweepParts;
  /** Names of accounts that nobody uses, whatever their age. */
  readonly #suspects = new Set<string>();
  readonly #stop = new AbortController();
  #timer: ScheduledTask;
  #dueMs: number;
  #running: Promise<void> | null = null;

  constructor(parts: SweepParts) {
    this.#parts = parts;
    this.#dueMs = parts.clock.monotonicMs() + FIRST_MS;
    this.#timer = parts.clock.schedule(FIRST_MS, this.#run);
  }

  /** Nobody uses the account of that name, if there is one. */
  suspect(name: string): void {
    const [oldest] = this.#suspects;
    if (this.#suspects.size >= MAX_SUSPECTS && oldest !== undefined) this.#suspects.delete(oldest);
    this.#suspects.add(name);
    if (this.#running === null) this.#arm(DOUBT_MS);
  }

  /** No sweep begins any more, and one under way is given up. */
  stop(): void {
    this.#stop.abort(new EgressError('draining'));
    this.#timer.cancel();
  }

  readonly #run = (): void => {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = null;
    });
  };

  /** At the latest then. */
  #arm(delayMs: number): void {
    const { clock } = this.#parts;
    const dueMs = clock.monotonicMs() + delayMs;
    if (this.#stop.signal.aborted || (this.#dueMs > clock.monotonicMs() && this.#dueMs <= dueMs)) return;
    this.#timer.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.schedule(delayMs, this.#run);
  }

  async #sweep(): Promise<void> {
    const { api, project, withKey, beside, report } = this.#parts;
    const { signal } = this.#stop;
    let deleted = 0;
    let error: EgressError | null = null;
    try {
      await withKey(signal, async (key) => {
        const before = new Set(this.#suspects);
        const { ended, isWhole } = await this.#ended(key);
        let failures = 0;
        for (const { id, name } of ended) {
          try {
            await api.deleteAccount(key, project, id, signal);
            deleted++;
            this.#suspects.delete(name);
          } catch (thrown) {
            error = errorOf(thrown);
            if (++failures >= MAX_FAILURES || signal.aborted) break;
          }
        }
        // What is not listed does not exist; should it appear later, it goes by its age.
        if (isWhole && error === null) for (const name of before) this.#suspects.delete(name);
      });
    } catch (thrown) {
      error = errorOf(thrown);
    }
    if (signal.aborted) return;
    await beside(signal);
    if (signal.aborted) return;
    report({ deleted, error });
    this.#dueMs = 0;
    if (error !== null) this.#arm(Math.min(Math.max(RETRY_MS, error.retryAfterMs ?? 0), EVERY_MS));
    else this.#arm(this.#suspects.size > 0 ? DOUBT_MS : EVERY_MS);
  }

  async #ended(key: Secret): Promise<{ readonly ended: readonly ListedAccount[]; readonly isWhole: boolean }> {
    const { api, clock, project } = this.#parts;
    const ended: ListedAccount[] = [];
    let after: string | null = null;
    for (let page = 0; page < MAX_PAGES && ended.length < MAX_DELETIONS; page++) {
      const listing = await api.listAccounts(key, project, after, this.#stop.signal);
      const now = listing.serverNow ?? clock.now();
      ended.push(...listing.items.filter((account) => this.#isEnded(account, now)));
      after = listing.after;
      if (after === null) return { ended, isWhole: true };
    }
    return { ended, isWhole: false };
  }

  #isEnded({ name, createdAt }: ListedAccount, now: number): boolean {
    if (this.#suspects.has(name)) return true;
    const mark = accountMarkIn(name);
    return mark !== null && mark.owner === this.#parts.owner && createdAt + mark.ttlMs + GRACE_MS <= now;
  }
}

const errorOf = (thrown: unknown): EgressError =>
  thrown instanceof EgressError ? thrown : new EgressError('internal', { cause: thrown });
