/**
 * Duty: the system's clock; whoever needs the time is handed it, so that tests can hand in another.
 */
import type { Clock } from './core/clock.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule: (delayMs, task) => {
    // Larger delays than a signed 32-bit integer would fire at once.
    const timer = setTimeout(task, Math.min(delayMs, 2_147_483_647)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
