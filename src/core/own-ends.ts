/**
 * Duty: the ends of the connections that this proxy has made to destinations, so that it knows one that comes back to it.
 * In → Out: address and port of our side → whether it is one of them.
 * Holds: of this process alone; where others share the listener, a loop ends at their limits.
 */
export class OwnEnds {
  readonly #ends = new Set<string>();

  /** Gives back how to forget it. */
  add(address: string, port: number): () => void {
    const end = `${port} ${unmapped(address)}`;
    this.#ends.add(end);
    return () => void this.#ends.delete(end);
  }

  has(address: string, port: number): boolean {
    return this.#ends.size > 0 && this.#ends.has(`${port} ${unmapped(address)}`);
  }
}

/** A socket of IPv6 has mapped addresses of IPv4. */
const unmapped = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address);
