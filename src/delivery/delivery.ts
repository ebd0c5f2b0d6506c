/**
 * Duty: one credential that is kept in one file (or behind one socket), from the start to the end.
 * In → Out: a delivery of the configuration → the file, another at every new lease, none when there is no lease.
 * Holds: the audit has it before the file is there; the former lease is given back when its successor is in the file; the file
 *   is gone when its lease is over, or at once where the source refuses the workload.
 * Fails: throws nothing; what went wrong is told by `standing`.
 * Not here: the file (private-file.ts), leases (credential/).
 */
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { type EgressError, toEgressError } from '../core/errors.ts';
import type { Credential, LeaseFacts } from '../credential/credential.ts';
import { contentOf } from './content.ts';
import type { DeliveryOptions } from './options.ts';

export interface DeliveryParts {
  readonly options: DeliveryOptions;
  /** As PrivateFiles.prepare gave it. */
  readonly path: string;
  readonly clock: Clock;
  obtain(signal: AbortSignal): Promise<Credential>;
  release(credential: Credential): void;
  /** Resolves when the audit has it. @throws EgressError `audit_unavailable`. */
  announce(credential: Credential): Promise<void>;
  write(content: Buffer): void;
  remove(): void;
  /** Must not throw. */
  observe(event: DeliveryEvent): void;
}

export interface DeliveryEvent {
  readonly kind: 'written' | 'removed' | 'failed';
  readonly error: EgressError | null;
}

export interface DeliveryStanding {
  readonly path: string;
  readonly lease: LeaseFacts | null;
  readonly generation: number | null;
  /** Null where nothing went wrong since the last success. */
  readonly error: EgressError | null;
  /** Epoch `ms`: written, removed or failed. */
  readonly changedAt: number;
}

const MIN_POLL_MS = 1_000;
const MAX_POLL_MS = 15_000;
const MAX_RETRY_MS = 60_000;

export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #end = new AbortController();
  #held: Credential | null = null;
  #error: EgressError | null = null;
  #failures = 0;
  #changedAt: number;
  #poll: ScheduledTask | null = null;
  #expiry: ScheduledTask | null = null;
  #step: Promise<void> = Promise.resolve();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#changedAt = parts.clock.now();
  }

  get options(): DeliveryOptions {
    return this.#parts.options;
  }

  get standing(): DeliveryStanding {
    const { path } = this.#parts;
    const { lease = null, generation = null } = this.#held ?? {};
    return { path, lease, generation, error: this.#error, changedAt: this.#changedAt };
  }

  begin(): void {
    this.#step = this.#next();
  }

  /** The policy has changed: whatever it waits for may be there now. */
  nudge(): void {
    const poll = this.#poll;
    // While it asks there is nothing to hurry.
    if (poll === null || this.#end.signal.aborted) return;
    poll.cancel();
    this.#poll = null;
    this.begin();
  }

  /** The file is gone and the lease given back when this resolves. */
  async close(): Promise<void> {
    this.#end.abort();
    this.#poll?.cancel();
    this.#drop();
    await this.#step;
  }

  async #next(): Promise<void> {
    const delayMs = await this.#renewed().catch((thrown: unknown) => this.#failed(toEgressError(thrown)));
    if (this.#end.signal.aborted) return;
    this.#poll = this.#parts.clock.schedule(delayMs, () => {
      this.#poll = null;
      this.begin();
    });
  }

  /** Asks for the lease of now, which keeps it alive; how long until it is asked for again. */
  async #renewed(): Promise<number> {
    const { clock } = this.#parts;
    const credential = await this.#parts.obtain(this.#end.signal);
    const former = this.#held;
    if (this.#end.signal.aborted || credential.key === former?.key) {
      if (former !== null && !this.#end.signal.aborted) this.#held = credential;
      this.#parts.release(credential);
    } else await this.#deliver(credential);
    // It may have ended meanwhile.
    if (this.#held !== credential) return MIN_POLL_MS;
    this.#failures = 0;
    this.#error = null;
    const remainingMs = Math.max(0, credential.lease.expiresAt - clock.now());
    // Asked once for each: the wall clock may jump while it lasts.
    if (credential !== former) {
      this.#expiry?.cancel();
      this.#expiry = clock.schedule(remainingMs, () => this.#drop());
    }
    return Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, remainingMs / 20));
  }

  async #deliver(credential: Credential): Promise<void> {
    try {
      await this.#parts.announce(credential);
      this.#end.signal.throwIfAborted();
      const content = contentOf(credential, this.#parts.options.format);
      try {
        this.#parts.write(content);
      } finally {
        content.fill(0);
      }
    } catch (thrown) {
      this.#parts.release(credential);
      throw thrown;
    }
    const former = this.#held;
    this.#held = credential;
    if (former !== null) this.#parts.release(former);
    this.#changed('written', null);
  }

  #failed(error: EgressError): number {
    if (this.#end.signal.aborted) return 0;
    const isNews = this.#error?.code !== error.code || this.#error.detail !== error.detail;
    this.#failures++;
    this.#error = error;
    if (error.code === 'credential_denied') this.#drop();
    if (isNews) this.#changed('failed', error);
    const pauseMs = error.retryAfterMs ?? 2 ** Math.min(this.#failures, 6) * 1_000;
    return Math.min(MAX_RETRY_MS, Math.max(MIN_POLL_MS, pauseMs));
  }

  /** Nobody is to read it any more. */
  #drop(): void {
    const held = this.#held;
    this.#held = null;
    this.#expiry?.cancel();
    if (held === null) return;
    try {
      this.#parts.remove();
    } catch (thrown) {
      this.#error = toEgressError(thrown);
    }
    this.#parts.release(held);
    this.#changed('removed', null);
  }

  #changed(kind: DeliveryEvent['kind'], error: EgressError | null): void {
    this.#changedAt = this.#parts.clock.now();
    this.#parts.observe({ kind, error });
  }
}
