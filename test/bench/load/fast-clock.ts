/** Time that runs `speed` times as fast, the same in every process that is given the same beginning. */
import type { Clock } from '../../../src/core/clock.ts';

export function fastClock(speed: number, beginMs: number): Clock {
  const now = (): number => beginMs + (performance.timeOrigin + performance.now() - beginMs) * speed;
  return {
    now,
    monotonicMs: now,
    schedule: (delayMs, task) => {
      const timer = setTimeout(task, Math.min(delayMs / speed, 2 ** 31 - 1)).unref();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}
