/**
 * Duty: random draws that a seed and a number repeat: case 4711 of seed 7 is the same on every machine.
 * Source: sfc32 (PractRand), started by splitmix32.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, index: number) {
    this.#a = seed | 0;
    this.#b = index | 0;
    this.#c = Math.floor(index / 0x1_0000_0000) ^ Math.imul(seed, 0x9e3779b1);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0 to 2³² − 1. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `limit` − 1; 0 for no choice. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.next() % limit;
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in `percent` of 100. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('nothing to pick from');
    return list[this.below(list.length)] as T;
  }

  /** Up to `most` draws, joined. */
  text(most: number, draw: () => string, glue = ''): string {
    let text = '';
    for (let left = this.below(most + 1); left > 0; left--) text += left > 1 ? draw() + glue : draw();
    return text;
  }
}
