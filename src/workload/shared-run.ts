/**
 * Duty: one costly reading for everybody who asks while another is under way.
 * Holds: what a caller gets was begun after it asked, so it is never older than the question.
 */
export class SharedRun<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<unknown> | null = null;
  #next: Promise<T> | null = null;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  run(): Promise<T> {
    this.#next ??= this.#begin(this.#running);
    return this.#next;
  }

  async #begin(before: Promise<unknown> | null): Promise<T> {
    // Also where nothing runs: callers of this turn share it.
    await before;
    const work = this.#next;
    this.#next = null;
    this.#running = work?.catch(() => {}) ?? null;
    return this.#work();
  }
}
