/**
 * Duty: the tunnels that are open, so that a drain or the end of an instance reaches them.
 */
export interface Drainable {
  /** Takes no new request; closes when the one under way is done. */
  drain(): void;
  /** Closes now. */
  close(): void;
}

export class LiveTunnels {
  readonly #tunnels = new Map<Drainable, string | null>();

  /** Known until the returned function is called. */
  add(instance: string | null, tunnel: Drainable): () => void {
    this.#tunnels.set(tunnel, instance);
    return () => this.#tunnels.delete(tunnel);
  }

  drainAll(): void {
    for (const tunnel of this.#tunnels.keys()) tunnel.drain();
  }

  closeInstance(instance: string): void {
    for (const [tunnel, owner] of this.#tunnels) if (owner === instance) tunnel.close();
  }
}
