/**
 * Duty: the lease of one (workload, instance, binding) through its generations.
 * In → Out: "obtain" → the current lease, or the one flight that fetches it.
 * Holds: one fetch at a time; the next generation is there before the old one ends; a source that refuses ends the current
 *   one at once, a source that is away only when its time is over; an unused lease is not replaced.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`, `credential_expired`.
 * Not here: limits across slots (lease-cache.ts), time spans (pacing.ts).
 */
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Workload } from '../workload/workload.ts';
import type { Credential, LeaseFacts } from './credential.ts';
import { untilAborted, within } from './deadline.ts';
import type { Lease } from './lease.ts';
import type { LeaseEvent } from './lease-event.ts';
import { backOffMs, rememberFailureMs, replaceAfterMs } from './pacing.ts';
import type { CredentialSource, Grant } from './source.ts';

/** What a slot needs of the cache around it. */
export interface SlotHost {
  readonly clock: Clock;
  readonly random: () => number;
  /** Takes one of the workload's and of the source's leases. @throws EgressError `credential_unavailable` at the limit. */
  reserve(subject: SlotSubject): () => void;
  /** Whether the source failed to answer last time, whoever asked. */
  isAway(source: CredentialSource): boolean;
  /** It was asked: whether it was there. */
  wasThere(source: CredentialSource, isThere: boolean): void;
  /** One of the calls that may run at once. */
  call<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T>;
  /** `unreserve` belongs to the lease from then on. */
  createLease(slot: LeaseSlot, grant: Grant, generation: number, unreserve: () => void): Lease;
  /** A grant that came too late to be used. */
  discard(grant: Grant): void;
  /** Nothing is left in the slot. */
  forget(slot: LeaseSlot): void;
  observe(
    slot: LeaseSlot,
    kind: Exclude<LeaseEvent['kind'], 'revoked' | 'revoke_failed'>,
    error: EgressError | null,
  ): void;
}

/** How it stands with a slot. */
export interface SlotStanding {
  /** Null where none may be given out now. */
  readonly lease: LeaseFacts | null;
  readonly generation: number;
  /** The first lease, or another after one ended, is on its way. */
  readonly isPending: boolean;
  /** What the last attempt failed with; null where it did not. */
  readonly error: EgressError | null;
  /** Epoch `ms`. */
  readonly changedAt: number;
}

export interface SlotSubject {
  readonly key: string;
  readonly workload: Workload;
  readonly binding: string;
  readonly source: CredentialSource;
}

const DEADLINE_MS = 5000;
/** For who asks while the source is known to be away; what is on its way goes on for those who come later. */
const AWAY_DEADLINE_MS = 900;
/** An empty slot remembers its count of generations and its failures for so long. */
const IDLE_MS = 10 * 60_000;
/** A refusal by the upstream is believed this often: a new key may need a moment, and a wrong one stays wrong. */
const INVALIDATE_EVERY_MS = 30_000;
/** A key as new as that is refused because it is not known everywhere yet, and another would be no better. */
const MIN_AGE_MS = 5_000;

export class LeaseSlot {
  readonly subject: SlotSubject;
  readonly #host: SlotHost;
  readonly #shutdown = new AbortController();
  #current: Lease | null = null;
  #flight: Promise<Lease> | null = null;
  #generation: number;
  #failure: { readonly error: EgressError; readonly untilMs: number } | null = null;
  #failures = 0;
  #hasLapsed = false;
  #isUsed = false;
  #replaceAtMs = 0;
  #invalidatedAtMs = Number.NEGATIVE_INFINITY;
  #timer: ScheduledTask | null = null;
  #changedAt: number;
  /** The workload with the newest that it presented, which may end sooner than its lease. */
  #latest: Workload;

  constructor(host: SlotHost, subject: SlotSubject, generation: number) {
    this.#host = host;
    this.subject = subject;
    this.#generation = generation;
    this.#changedAt = host.clock.now();
    this.#latest = subject.workload;
  }

  /** What new exchanges get. */
  get lease(): Lease | null {
    return this.#current;
  }

  get generation(): number {
    return this.#generation;
  }

  get standing(): SlotStanding {
    const lease = this.#current;
    return {
      lease: lease?.credential.lease ?? null,
      generation: this.#generation,
      isPending: lease === null && this.#flight !== null,
      error: this.#failure?.error ?? null,
      changedAt: this.#changedAt,
    };
  }

  /** The same workload has come again, perhaps on an older tunnel: of what it presented the one that lasts longer counts. */
  hear({ presented, provenUntil = Infinity }: Workload): void {
    if (presented === undefined || provenUntil <= presentedUntil(this.#latest)) return;
    this.#latest = { ...this.#latest, presented, provenUntil };
    // What was refused was another proof.
    if (this.#failure?.error.code === 'credential_denied') this.#failure = null;
  }

  /** No promise where the lease is there. @throws EgressError `credential_*`; `signal` gives up this call alone. */
  obtain(signal: AbortSignal): Credential | Promise<Credential> {
    return this.#ready()?.acquire() ?? this.#awaited(signal);
  }

  async #awaited(signal: AbortSignal): Promise<Credential> {
    const flight = this.#fetch();
    // A replacement may be on its way for a while already, and renew before it fetches; who comes now waits no longer for it.
    const deadlineMs = this.#host.isAway(this.subject.source) ? AWAY_DEADLINE_MS : DEADLINE_MS;
    const timely = within(this.#host.clock, deadlineMs, this.#shutdown.signal, () => flight, ignore);
    const lease = await untilAborted(timely, signal).catch((thrown: unknown) => {
      const isLate = thrown instanceof EgressError && thrown.code === 'credential_unavailable';
      throw isLate && this.#hasLapsed ? this.#told(thrown, thrown.retryAfterMs ?? AWAY_DEADLINE_MS) : thrown;
    });
    if (!lease.isCurrent) throw unavailable('the credential ended while it was obtained');
    this.#isUsed = true;
    return lease.acquire();
  }

  /** The upstream says that this lease has expired. True where another may be had. */
  invalidate(lease: Lease): boolean {
    // Somebody else was told the same, or it was replaced meanwhile.
    if (lease !== this.#current) return true;
    const now = this.#host.clock.monotonicMs();
    if (now - this.#invalidatedAtMs < INVALIDATE_EVERY_MS || now - lease.startedAtMs < MIN_AGE_MS) return false;
    this.#invalidatedAtMs = now;
    this.#drop();
    this.#host.observe(this, 'invalidated', null);
    this.#arm(IDLE_MS, () => this.#leaveIfEmpty());
    return true;
  }

  /** Nobody needs it for now: the lease ends with its last exchange; the slot stays. What is on its way is left alone. */
  retire(): void {
    if (this.#current === null || this.#flight !== null) return;
    this.#drop();
    this.#arm(IDLE_MS, () => this.#leaveIfEmpty());
  }

  /**
   * Fetches the next generation now, whatever the time; until it is there the old one is given out. Resolves with whether
   * that worked, null where there was nothing to replace.
   */
  async rotate(): Promise<boolean | null> {
    // What is on its way may have been read before whatever made this necessary.
    while (this.#flight !== null) await this.#flight.catch(ignore);
    this.#failure = null;
    if (this.#current === null || this.#shutdown.signal.aborted) return null;
    this.#timer?.cancel();
    return this.#launch(() => this.#obtainNext()).then(
      () => true,
      () => false,
    );
  }

  /** Gives nothing out any more and lets exchanges finish; what is on its way is revoked when it arrives. */
  close(): void {
    this.#shutdown.abort(unavailable('the credential is being revoked'));
    this.#timer?.cancel();
    this.#drop();
  }

  /** The lease that may be given out now; begins its replacement where that is due. */
  #ready(): Lease | null {
    const lease = this.#current;
    const now = this.#host.clock.monotonicMs();
    if (lease === null || now >= lease.usableUntilMs) return null;
    this.#isUsed = true;
    if (now >= this.#replaceAtMs && this.#flight === null) this.#replace();
    return lease;
  }

  #fetch(): Promise<Lease> {
    if (this.#flight !== null) return this.#flight;
    const failure = this.#failure;
    const now = this.#host.clock.monotonicMs();
    if (failure !== null && now < failure.untilMs)
      return Promise.reject(this.#told(failure.error, failure.untilMs - now));
    return this.#launch(() => this.#obtainNext());
  }

  #launch(task: () => Promise<Lease>): Promise<Lease> {
    const flight = task().finally(() => {
      this.#flight = null;
    });
    this.#flight = flight;
    // Also heard where nobody waits any more.
    flight.catch(() => {});
    return flight;
  }

  async #obtainNext(): Promise<Lease> {
    const { subject } = this;
    let unreserve: (() => void) | null = null;
    try {
      this.#shutdown.signal.throwIfAborted();
      unreserve = this.#host.reserve(subject);
      const fetch = (signal: AbortSignal) => this.#host.call(signal, () => subject.source.fetch(this.#latest, signal));
      const grant = await this.#asked(fetch);
      if (!(grant.expiresAtMonotonicMs > this.#host.clock.monotonicMs())) {
        this.#host.discard(grant);
        throw new EgressError('credential_invalid', { detail: 'the credential ends before it can be used' });
      }
      if (!this.#shutdown.signal.aborted) return this.#adopt(grant, unreserve);
      this.#host.discard(grant);
      throw this.#shutdown.signal.reason;
    } catch (thrown) {
      unreserve?.();
      if (this.#shutdown.signal.aborted) throw this.#shutdown.signal.reason;
      throw this.#failed(toEgressError(thrown));
    }
  }

  async #asked(fetch: (signal: AbortSignal) => Promise<Grant>): Promise<Grant> {
    const { source } = this.subject;
    try {
      const grant = await within(this.#host.clock, DEADLINE_MS, this.#shutdown.signal, fetch, (late) =>
        this.#host.discard(late),
      );
      this.#host.wasThere(source, true);
      return grant;
    } catch (thrown) {
      if (!this.#shutdown.signal.aborted) {
        const { code } = toEgressError(thrown);
        this.#host.wasThere(source, code !== 'credential_unavailable');
      }
      throw thrown;
    }
  }

  #adopt(grant: Grant, unreserve: () => void): Lease {
    const lease = this.#host.createLease(this, grant, ++this.#generation, unreserve);
    const former = this.#current;
    this.#current = lease;
    this.#failure = null;
    this.#failures = 0;
    this.#hasLapsed = false;
    this.#isUsed = false;
    former?.retire();
    this.#armReplacement(lease);
    this.#observe('obtained', null);
    return lease;
  }

  #armReplacement(lease: Lease): void {
    const now = this.#host.clock.monotonicMs();
    const delayMs = replaceAfterMs(lease.usableUntilMs - now, this.#host.random);
    this.#replaceAtMs = now + delayMs;
    this.#arm(delayMs, () => (this.#isUsed ? this.#replace() : this.#armLapse()));
  }

  #armLapse(): void {
    this.#arm((this.#current?.usableUntilMs ?? 0) - this.#host.clock.monotonicMs(), () => this.#lapse());
  }

  #replace(): void {
    const lease = this.#current;
    if (lease === null || this.#flight !== null) return;
    this.#timer?.cancel();
    void this.#launch(() => this.#renewOrReplace(lease)).catch(() => {});
  }

  async #renewOrReplace(lease: Lease): Promise<Lease> {
    const { grant } = lease;
    if (grant.renewable && grant.renew !== undefined) {
      const { clock } = this.#host;
      const renew = (signal: AbortSignal) => this.#host.call(signal, () => grant.renew?.(signal) ?? Promise.resolve(0));
      const expiresAt = await within(clock, DEADLINE_MS, this.#shutdown.signal, renew, ignore).catch(() => 0);
      const isEnough = expiresAt - clock.monotonicMs() >= lease.ttlMs / 2;
      if (isEnough && lease === this.#current) return this.#renewed(lease, expiresAt);
    }
    return this.#obtainNext();
  }

  #renewed(lease: Lease, expiresAtMonotonicMs: number): Lease {
    lease.extend(expiresAtMonotonicMs);
    this.#failures = 0;
    this.#failure = null;
    this.#isUsed = false;
    this.#armReplacement(lease);
    this.#observe('renewed', null);
    return lease;
  }

  /** Remembers the failure; what is still good is served on, unless the source says that the workload may not have it. */
  #failed(error: EgressError): EgressError {
    const { clock, random } = this.#host;
    const now = clock.monotonicMs();
    const rememberMs = rememberFailureMs(error.code, error.retryAfterMs, random);
    this.#failures++;
    this.#failure = { error, untilMs: now + rememberMs };
    this.#observe('failed', error);
    if (isFinal(error)) this.#drop();
    const usableMs = this.#current === null ? 0 : this.#current.usableUntilMs - now;
    if (this.#current !== null && usableMs <= 0) this.#lapse();
    else if (this.#current === null) this.#arm(IDLE_MS, () => this.#leaveIfEmpty());
    else {
      const pauseMs = Math.max(backOffMs(this.#failures, random), error.retryAfterMs ?? 0);
      this.#replaceAtMs = now + pauseMs;
      if (pauseMs < usableMs) this.#arm(pauseMs, () => this.#replace());
      else this.#armLapse();
    }
    return this.#told(error, rememberMs);
  }

  /** Its time is over and nothing came in its place. */
  #lapse(): void {
    this.#hasLapsed = this.#failures > 0;
    this.#drop();
    this.#observe('expired', null);
    this.#arm(IDLE_MS, () => this.#leaveIfEmpty());
  }

  #observe(kind: Parameters<SlotHost['observe']>[1], error: EgressError | null): void {
    this.#changedAt = this.#host.clock.now();
    this.#host.observe(this, kind, error);
  }

  #drop(): void {
    this.#changedAt = this.#host.clock.now();
    this.#current?.retire();
    this.#current = null;
  }

  /** What a workload is told: when to come back, and that a lease has ended where one had. */
  #told(error: EgressError, retryAfterMs: number): EgressError {
    const code = this.#hasLapsed && error.code === 'credential_unavailable' ? 'credential_expired' : error.code;
    return new EgressError(code, {
      ...(error.detail === null ? {} : { detail: error.detail }),
      cause: error.cause,
      retryAfterMs: Math.ceil(retryAfterMs),
    });
  }

  #leaveIfEmpty(): void {
    if (this.#current === null && this.#flight === null) this.#host.forget(this);
    else if (this.#flight !== null) this.#arm(IDLE_MS, () => this.#leaveIfEmpty());
  }

  #arm(delayMs: number, task: () => void): void {
    this.#timer?.cancel();
    if (this.#shutdown.signal.aborted) return;
    // Timers of more than 2^31-1 ms fire at once.
    this.#timer = this.#host.clock.schedule(Math.min(Math.max(delayMs, 1), 2 ** 31 - 1), task);
  }
}

/** The workload itself was refused, as opposed to a call that went wrong and may go right later. */
const isFinal = (error: EgressError): boolean => error.code === 'credential_denied' && error.retryAfterMs === null;

const presentedUntil = ({ presented, provenUntil = Infinity }: Workload): number =>
  presented === undefined ? Number.NEGATIVE_INFINITY : provenUntil;

const ignore = (): void => {};

const unavailable = (detail: string): EgressError =>
  new EgressError('credential_unavailable', { detail, retryAfterMs: 1000 });
