/**
 * Duty: an address for every name that is asked for in a jail. The address leads nowhere; it brings the connection to us, which
 *   says the name itself.
 * In → Out: name → address of 198.18.0.0/16; address → the name that it was given for.
 * Holds: the same name has the same address; at most 65,534 names, then the one that was longest not asked for gives its address.
 * Source: RFC 2544 (198.18.0.0/15: for measurements between two networks, so nobody's address); RFC 6761 §6.3 (localhost).
 */

/** Network and broadcast address of the /16 are left out. */
const MAX_NAMES = 65_534;

export class SyntheticNames {
  /** In the order in which they were asked for last. */
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #capacity: number;

  constructor(capacity: number = MAX_NAMES) {
    this.#capacity = Math.min(capacity, MAX_NAMES);
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** 4 bytes. */
  addressOf(name: string): Uint8Array {
    const number = this.#numbers.get(name) ?? this.#freeNumber();
    this.#numbers.delete(name);
    this.#numbers.set(name, number);
    this.#names[number] = name;
    return Uint8Array.of(198, 18, (number + 1) >> 8, (number + 1) & 0xff);
  }

  has(name: string): boolean {
    return this.#numbers.has(name);
  }

  /** `198.18.0.1` → the name; null for every other address. */
  nameOf(address: string): string | null {
    const match = /^198\.18\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(address);
    return match === null ? null : (this.#names[(Number(match[1]) << 8) + Number(match[2]) - 1] ?? null);
  }

  #freeNumber(): number {
    if (this.#numbers.size < this.#capacity) return this.#numbers.size;
    const [oldest] = this.#numbers;
    if (oldest === undefined) return 0;
    this.#numbers.delete(oldest[0]);
    return oldest[1];
  }
}
