/**
 * Duty: time as a part that is handed in; the system's own is system-clock.ts.
 * Holds: `now` may jump, `monotonicMs` never goes back. Deadlines and leases count monotonic time.
 */
export interface Clock {
  /** Wall clock, epoch `ms`. */
  now(): number;
  /** Monotonic `ms` since an arbitrary start. */
  monotonicMs(): number;
  /** Runs `task` once after `delayMs`; the timer does not keep the process alive. */
  schedule(delayMs: number, task: () => void): ScheduledTask;
}

export interface ScheduledTask {
  /** Idempotent. */
  cancel(): void;
}
