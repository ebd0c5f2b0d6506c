/**
 * Duty: reads of files that their owner can make hang, one at a time.
 * In → Out: a reading → its outcome, or null where it or the one before it takes too long.
 * Holds: a file of a workload's own file system (FUSE) or memory can hold up one thread of this process, never two.
 */
import { setTimeout as after } from 'node:timers/promises';

const PATIENCE_MS = 1_000;
const MAX_WAITING = 64;

export class SlowLane {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  readonly #patienceMs: number;

  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs;
  }

  async run<T>(reading: () => Promise<T>): Promise<T | null> {
    if (this.#waiting >= MAX_WAITING) return null;
    this.#waiting += 1;
    const alarm = new AbortController();
    let isLate = false;
    const late = after(this.#patienceMs, null, { signal: alarm.signal }).then(
      () => {
        isLate = true;
        return null;
      },
      () => null,
    );
    // Who has given up by the time its turn comes reads nothing.
    const turn = this.#last.then(() => (isLate ? null : reading()));
    this.#last = turn.then(
      () => this.#leave(),
      () => this.#leave(),
    );
    try {
      return await Promise.race([turn, late]);
    } finally {
      alarm.abort();
    }
  }

  #leave(): void {
    this.#waiting -= 1;
  }
}
