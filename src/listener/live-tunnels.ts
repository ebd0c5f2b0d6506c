/**
 * Duty: the tunnels that are open, so that a drain or the end of an instance reaches them.
 */
export interface Drainable {
  /** Takes no new request; closes when the one under way is done. */
  drain(): void;
  /** Ends now, in the middle of whatever is under way. */
  cut(): void;
}

export class LiveTunnels {
  /** Instance → its tunnels; null: those without one. */
  readonly #tunnels = new Map<string | null, Set<Drainable>>();

  /** Known until the returned function is called. */
  add(instance: string | null, tunnel: Drainable): () => void {
    const tunnels = this.#tunnels.get(instance) ?? new Set();
    this.#tunnels.set(instance, tunnels);
    tunnels.add(tunnel);
    return () => {
      tunnels.delete(tunnel);
      if (tunnels.size === 0 && this.#tunnels.get(instance) === tunnels) this.#tunnels.delete(instance);
    };
  }

  drainAll(): void {
    for (const tunnels of [...this.#tunnels.values()]) for (const tunnel of tunnels) tunnel.drain();
  }

  drainInstance(instance: string): void {
    for (const tunnel of this.#tunnels.get(instance) ?? []) tunnel.drain();
  }

  cutInstance(instance: string): void {
    for (const tunnel of this.#tunnels.get(instance) ?? []) tunnel.cut();
  }
}
