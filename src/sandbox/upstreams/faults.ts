/**
 * Duty: what a test tells the sandbox to do wrong with the next requests of a host.
 * In → Out: host → the fault that comes next, taken out of the queue.
 * Holds: one fault serves one request; faults of a host are served in the order in which they were given.
 */

export type Fault =
  /** The connection is torn down as soon as the head is there. */
  | 'reset'
  /** The body is read, then nothing is said until the sandbox closes. */
  | 'stall'
  /** The right answer, with its right Content-Length, ends half-way. */
  | 'truncate'
  /** The right answer stops half-way and stays open. */
  | 'stall-body'
  /** The request head and body come back as JSON, and Authorization in a response field as well. */
  | 'echo'
  /** As `echo`, with Authorization in a trailer field. */
  | 'echo-trailer'
  /** The right answer, compressed though nobody asked for it. */
  | 'gzip'
  /** An interim 103 with a Link field goes before the right answer. */
  | 'early-hints'
  /** Bytes that are not HTTP. */
  | 'garbage'
  /** This status, after the body was read. */
  | `status:${number}`
  /** This status at once, unread body and all; the connection closes. */
  | `early:${number}`
  /** 307 to this address. */
  | `redirect:${string}`;

export class FaultQueue {
  readonly #queues = new Map<string, Fault[]>();

  /** Appends `fault`, `times` times. */
  next(host: string, fault: Fault, times = 1): void {
    const queue = this.#queues.get(host) ?? [];
    for (let i = 0; i < times; i++) queue.push(fault);
    this.#queues.set(host, queue);
  }

  take(host: string): Fault | null {
    const queue = this.#queues.get(host);
    if (queue === undefined) return null;
    const fault = queue.shift() ?? null;
    if (queue.length === 0) this.#queues.delete(host);
    return fault;
  }

  clear(): void {
    this.#queues.clear();
  }
}
