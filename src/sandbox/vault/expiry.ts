/**
 * Duty: lets tokens and leases end on time, through the clock that was handed in.
 * In → Out: a moment in monotonic time and a task → a timer that can be moved or stopped.
 * Holds: delays beyond what one timer carries are walked in steps; while paused (a sealed Vault) nothing ends, and what fell due
 *   meanwhile ends at `resume`, as it does when a real one is unsealed.
 */
import type { Clock, ScheduledTask } from '../../core/clock.ts';

/** One step; a longer delay would overflow the timer and fire at once. */
const MAX_STEP_MS = 2 ** 31 - 1;

export interface Deadline {
  move(atMonotonicMs: number): void;
  cancel(): void;
}

export class Expiry {
  readonly #clock: Clock;
  readonly #overdue = new Set<() => void>();
  readonly #pending = new Set<ScheduledTask>();
  #isPaused = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  at(atMonotonicMs: number, task: () => void): Deadline {
    let due = atMonotonicMs;
    let timer: ScheduledTask | null = null;
    const stop = (): void => {
      if (timer === null) return;
      timer.cancel();
      this.#pending.delete(timer);
      timer = null;
    };
    const arm = (): void => {
      stop();
      const leftMs = Math.max(0, due - this.#clock.monotonicMs());
      const armed = this.#clock.schedule(Math.min(leftMs, MAX_STEP_MS), fire);
      timer = armed;
      this.#pending.add(armed);
    };
    const fire = (): void => {
      stop();
      if (this.#clock.monotonicMs() < due) arm();
      else if (this.#isPaused) this.#overdue.add(task);
      else task();
    };
    arm();
    return {
      move: (next) => {
        due = next;
        this.#overdue.delete(task);
        arm();
      },
      cancel: () => {
        stop();
        this.#overdue.delete(task);
      },
    };
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const overdue = [...this.#overdue];
    this.#overdue.clear();
    for (const task of overdue) task();
  }

  /** No timer is left. */
  close(): void {
    for (const timer of this.#pending) timer.cancel();
    this.#pending.clear();
    this.#overdue.clear();
  }
}
