/**
 * Duty: the deadlines of all exchanges under way, with one timer for all of them.
 * In → Out: Watched → `expire` once its time has come, at most one tick late.
 * Holds: moving a deadline costs an assignment; no timer runs where nothing is watched, and none keeps the process alive.
 */
import type { Clock } from '../core/clock.ts';

export interface Watched {
  /** Monotonic `ms`; Infinity: nothing is waited for. */
  deadline: number;
  /** Called once; it is watched no longer then. */
  expire(): void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;

  /** `shortestMs`: the shortest time that anything is given; sets how exact the tick must be. */
  constructor(clock: Clock, shortestMs: number) {
    this.#clock = clock;
    this.#tickMs = Math.min(500, Math.max(5, shortestMs / 10));
  }

  /** What `deadline` is for something that may take `durationMs` from now. */
  in(durationMs: number): number {
    return this.#clock.monotonicMs() + durationMs;
  }

  watch(watched: Watched): void {
    this.#watched.add(watched);
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
  }

  #tick(): void {
    if (this.#watched.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
      return;
    }
    const now = this.#clock.monotonicMs();
    for (const watched of this.#watched) {
      if (watched.deadline > now) continue;
      this.#watched.delete(watched);
      watched.expire();
    }
  }
}
