/**
 * Duty: a workload that has closed its side while it is owed an answer: one that waits, or one that is gone.
 * In → Out: the FIN → interim responses, which a reader skips and a closed socket answers with a reset.
 * Holds: who is gone is found out within two probes, so that nothing goes on upstream; who waits gets its answer within the
 *   limit. A FIN within an answer, or of a client that knows no interim responses, is a farewell.
 * Source: RFC 9112 §9.6 (half-close), RFC 9110 §15.2 (a client must skip any 1xx); RFC 9293 §3.5.2 (reset).
 */
import type { Duplex } from 'node:stream';

const PROBE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
/** The reset that the first one provokes shows at the second. */
const PROBES_MS: readonly number[] = [40, 500, 2_000, 5_000];

export class HalfOpen {
  readonly #stream: Duplex;
  readonly #timers: NodeJS.Timeout[] = [];
  #mayProbe = true;

  constructor(stream: Duplex, timeoutMs: number) {
    this.#stream = stream;
    this.#timers.push(setTimeout(() => stream.destroy(), timeoutMs).unref());
    for (const delayMs of PROBES_MS) this.#timers.push(setTimeout(() => this.#probe(), delayMs).unref());
    stream.once('close', () => this.#end());
    this.#probe();
  }

  /** The final response has begun. */
  answers(): void {
    this.#mayProbe = false;
  }

  #probe(): void {
    if (this.#mayProbe && this.#stream.writable) this.#stream.write(PROBE);
  }

  #end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
