import type { Clock, ScheduledTask } from '../../src/core/clock.ts';

interface Task {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Time that moves only when told to. Wall clock and monotonic clock can be set apart. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 1_000_000;
  #tasks: Task[] = [];

  constructor(wallMs: number = Date.parse('2026-01-15T12:00:00Z')) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  schedule(delayMs: number, run: () => void): ScheduledTask {
    const task: Task = { dueMs: this.#monotonicMs + delayMs, run };
    this.#tasks.push(task);
    return {
      cancel: () => {
        this.#tasks = this.#tasks.filter((each) => each !== task);
      },
    };
  }

  /** Moves both clocks and runs what is due, in order; microtasks run between two tasks. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonicMs + ms;
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      const task = next;
      this.#tasks = this.#tasks.filter((each) => each !== task);
      this.#wallMs += task.dueMs - this.#monotonicMs;
      this.#monotonicMs = task.dueMs;
      task.run();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#wallMs += end - this.#monotonicMs;
    this.#monotonicMs = end;
  }

  /** The wall clock jumps; time itself does not pass. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  get pending(): number {
    return this.#tasks.length;
  }

  #due(end: number): Task | undefined {
    return this.#tasks.filter((task) => task.dueMs <= end).sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}
