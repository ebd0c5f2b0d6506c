/**
 * Duty: the deadlines of everything of one kind that is under way, with one timer for all of them.
 * In → Out: Watched → `expire` once its time has come, at most one tick late.
 * Holds: moving a deadline costs an assignment; no timer runs where nothing is watched, and none keeps the process alive.
 */
import type { Clock, ScheduledTask } from './clock.ts';

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
  #tick: ScheduledTask | null = null;

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
    this.#tick ??= this.#clock.schedule(this.#tickMs, this.#look);
  }

  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
  }

  readonly #look = (): void => {
    const now = this.#clock.monotonicMs();
    for (const watched of this.#watched) {
      if (watched.deadline > now) continue;
      this.#watched.delete(watched);
      watched.expire();
    }
    this.#tick = this.#watched.size === 0 ? null : this.#clock.schedule(this.#tickMs, this.#look);
  };
}
