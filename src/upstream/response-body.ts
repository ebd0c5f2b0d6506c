/**
 * Duty: a response body that gives its connection back when it ends.
 * In → Out: Body of the codec → Body for the next hop.
 * Holds: the end is reported once, also where the reader stops at the last byte of a known length; time counts only
 *   while the reader waits.
 * Fails: `http_response_incomplete` where the connection ends first; what the exchange says.
 */
import { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';

/** The exchange, as far as its body must tell it something. */
export interface BodyOwner {
  waits(): void;
  rests(): void;
  /** Turns what was thrown into what is to be thrown; the connection is gone then. */
  broken(thrown: unknown): EgressError;
  cancel(): void;
}

export class ResponseBody implements Body {
  readonly length: number | null;
  readonly #source: Body;
  readonly #owner: BodyOwner;
  readonly #onEnd: () => void;
  #received = 0;
  #ending: Promise<Buffer | null> | null = null;
  #isOver = false;
  #failure: EgressError | null = null;

  constructor(source: Body, owner: BodyOwner, onEnd: () => void) {
    this.length = source.length;
    this.#source = source;
    this.#owner = owner;
    this.#onEnd = onEnd;
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers;
  }

  async read(): Promise<Buffer | null> {
    const here = this.take();
    if (here !== null) return here;
    if (this.#failure !== null) throw this.#failure;
    if (this.#isOver) return null;
    this.#owner.waits();
    try {
      const chunk = await (this.#ending ?? this.#source.read());
      this.#owner.rests();
      return this.#hand(chunk);
    } catch (thrown) {
      throw this.#broken(thrown);
    }
  }

  take(): Buffer | null {
    if (this.#isOver || this.#ending !== null) return null;
    try {
      const chunk = this.#source.take();
      return chunk === null ? null : this.#hand(chunk);
    } catch (thrown) {
      this.#broken(thrown);
      return null;
    }
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.cancel();
  }

  #hand(chunk: Buffer | null): Buffer | null {
    if (chunk === null) {
      if (!this.#isOver) this.#onEnd();
      this.#isOver = true;
      return null;
    }
    this.#received += chunk.length;
    // The end follows without another byte on the wire: see it now, for the reader may not come again.
    if (this.#received === this.length) {
      this.#ending = this.#source.read();
      this.#ending.then(
        (end) => this.#hand(end),
        (thrown) => this.#broken(thrown),
      );
    }
    return chunk;
  }

  #broken(thrown: unknown): EgressError {
    if (this.#failure !== null) return this.#failure;
    this.#isOver = true;
    const error = this.#owner.broken(thrown);
    this.#failure =
      error.code === 'connection_terminated' ? new EgressError('http_response_incomplete', { cause: error }) : error;
    return this.#failure;
  }
}
