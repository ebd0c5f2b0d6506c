/**
 * Duty: how much each workload has of something that all share: connections, requests at once.
 * In → Out: name → the function that gives the place back, or null where its share is used up.
 * Holds: what is not held costs no memory; taking and giving back a place makes no garbage.
 */
export class Shares {
  readonly #max: number;
  readonly #held = new Map<string, Share>();

  constructor(max: number) {
    this.#max = max;
  }

  /** What it returns must be called once. */
  enter(name: string): (() => void) | null {
    let share = this.#held.get(name);
    if (share === undefined) {
      share = new Share(() => void this.#held.delete(name));
      this.#held.set(name, share);
    }
    if (share.count >= this.#max) return null;
    share.count += 1;
    return share.leave;
  }
}

class Share {
  count = 0;
  readonly #onEmpty: () => void;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  readonly leave = (): void => {
    this.count -= 1;
    if (this.count === 0) this.#onEmpty();
  };
}
