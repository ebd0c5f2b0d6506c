/**
 * Duty: how long a workload may take: to begin a request, to end its head, to send its body, to take its answer.
 * In → Out: what is being waited for → `giveUp` once it took too long.
 * Holds: looked at from time to time, so that a request pays an assignment and no timer; a body is slow only while we wait
 *   for it, never while an upstream does not take it. Exact to a quarter of the limit, and to one tick.
 * Source: RFC 9110 §15.5.9 (408).
 */
import type { Duplex } from 'node:stream';
import type { Deadlines, Watched } from '../core/deadlines.ts';
import { EgressError } from '../core/errors.ts';

export interface PaceLimits {
  /** From the end of one response to the next head; and how long an answer may go unread. */
  readonly idleTimeoutMs: number;
  readonly requestHeadTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly minBodyBytesPerSecond: number;
  readonly bodyRateGraceMs: number;
}

/** The shortest time that is given; sets how exact the ticks must be. */
export function shortestOf(limits: PaceLimits): number {
  return Math.min(
    limits.idleTimeoutMs,
    limits.requestHeadTimeoutMs,
    limits.requestTimeoutMs,
    Math.max(limits.bodyRateGraceMs, 300),
  );
}

/** The reading side, as far as it can be waited for. */
export interface Pulled {
  /** Nothing of the next message has arrived. */
  readonly isIdle: boolean;
  readonly isBetweenMessages: boolean;
  /** Somebody waits for bytes of a body. */
  readonly isBodyAwaited: boolean;
}

/** How many bytes moved, as sockets count them. */
type Counted = Duplex & { readonly bytesRead: number; readonly bytesWritten: number };

export class Pace implements Watched {
  deadline = Number.POSITIVE_INFINITY;
  readonly #stream: Counted;
  readonly #reader: Pulled;
  readonly #limits: PaceLimits;
  readonly #deadlines: Deadlines;
  readonly #giveUp: (error: EgressError) => void;
  #phase: 'rest' | 'head' | 'body' | 'answer' = 'rest';
  /** Monotonic `ms` at which the phase began; of an answer, at which it last moved. */
  #since = 0;
  /** Of the head that has begun; Infinity: none has. */
  #headUntil = Number.POSITIVE_INFINITY;
  #markedAt = 0;
  #markedBytes = 0;

  /** `stream` is a socket; `giveUp` is called once at most for each thing that is waited for. */
  constructor(
    stream: Duplex,
    reader: Pulled,
    limits: PaceLimits,
    deadlines: Deadlines,
    giveUp: (error: EgressError) => void,
  ) {
    this.#stream = stream as Counted;
    this.#reader = reader;
    this.#limits = limits;
    this.#deadlines = deadlines;
    this.#giveUp = giveUp;
    deadlines.watch(this);
  }

  end(): void {
    this.#deadlines.unwatch(this);
  }

  /** Nothing is expected of the workload. */
  rests(): void {
    this.#phase = 'rest';
    this.deadline = Number.POSITIVE_INFINITY;
  }

  awaitsHead(): void {
    const now = this.#begin('head');
    this.#headUntil = Number.POSITIVE_INFINITY;
    this.deadline = this.#nextForHead(now);
  }

  /** A head has come, its body has not come whole. */
  awaitsBody(): void {
    const now = this.#begin('body');
    const { bodyRateGraceMs, requestTimeoutMs } = this.#limits;
    this.#markedAt = 0;
    this.deadline = now + Math.min(bodyRateGraceMs, requestTimeoutMs);
  }

  /** An answer did not go out at once. */
  awaitsReader(): void {
    const now = this.#begin('answer');
    this.#markedBytes = this.#stream.bytesWritten;
    this.deadline = now + this.#limits.idleTimeoutMs / 4;
  }

  expire(): void {
    const now = this.#deadlines.in(0);
    const failure = this.#look(now);
    if (failure !== null) this.rests();
    // A deadline that is not in the future would be looked at again within the same tick.
    else this.deadline = Math.max(this.deadline, now + 1);
    this.#deadlines.watch(this);
    if (failure !== null) this.#giveUp(failure);
  }

  #begin(phase: 'head' | 'body' | 'answer'): number {
    this.#phase = phase;
    this.#since = this.#deadlines.in(0);
    return this.#since;
  }

  /** Why it is enough; null where it is not, and the next deadline is set. */
  #look(now: number): EgressError | null {
    if (this.#phase === 'head') return this.#lookAtHead(now);
    if (this.#phase === 'body') return this.#lookAtBody(now);
    if (this.#phase === 'answer') return this.#lookAtAnswer(now);
    this.deadline = Number.POSITIVE_INFINITY;
    return null;
  }

  #lookAtHead(now: number): EgressError | null {
    if (now >= this.#headUntil) return new EgressError('request_timeout', { detail: 'the head did not end in time' });
    if (this.#reader.isIdle && now >= this.#since + this.#limits.idleTimeoutMs)
      return new EgressError('request_timeout');
    this.deadline = this.#nextForHead(now);
    return null;
  }

  #nextForHead(now: number): number {
    const { idleTimeoutMs, requestHeadTimeoutMs } = this.#limits;
    if (this.#reader.isIdle) return Math.min(this.#since + idleTimeoutMs, now + requestHeadTimeoutMs / 4);
    if (this.#headUntil === Number.POSITIVE_INFINITY) this.#headUntil = now + requestHeadTimeoutMs;
    return this.#headUntil;
  }

  #lookAtBody(now: number): EgressError | null {
    const { bodyRateGraceMs, requestTimeoutMs, minBodyBytesPerSecond } = this.#limits;
    if (this.#reader.isBetweenMessages) {
      this.rests();
      return null;
    }
    if (now >= this.#since + requestTimeoutMs) {
      return new EgressError('request_timeout', { detail: 'the body did not end in time' });
    }
    const { bytesRead } = this.#stream;
    if (this.#markedAt > 0 && this.#reader.isBodyAwaited) {
      const due = (minBodyBytesPerSecond * (now - this.#markedAt)) / 1_000;
      if (bytesRead - this.#markedBytes < due)
        return new EgressError('request_timeout', {
          detail: `the body comes slower than ${minBodyBytesPerSecond} B/s`,
        });
    }
    this.#markedAt = now;
    this.#markedBytes = bytesRead;
    this.deadline = Math.min(this.#since + requestTimeoutMs, now + bodyRateGraceMs / 3);
    return null;
  }

  #lookAtAnswer(now: number): EgressError | null {
    const { bytesWritten, writableLength } = this.#stream;
    if (writableLength === 0 || bytesWritten !== this.#markedBytes) {
      this.#markedBytes = bytesWritten;
      this.#since = now;
    } else if (now >= this.#since + this.#limits.idleTimeoutMs) {
      return new EgressError('downstream_aborted', { detail: 'the workload stopped reading' });
    }
    this.deadline = now + this.#limits.idleTimeoutMs / 4;
    return null;
  }
}
