/**
 * Duty: a response body that gives its connection back when it ends.
 * In → Out: Body of the codec → Body for the next hop.
 * Holds: the end is reported once, together with the last bytes; time counts only while the reader waits.
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
  /** Nothing more is handed out. */
  #isDone = false;
  #hasEnded = false;
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

  get isOver(): boolean {
    return this.#hasEnded;
  }

  async read(): Promise<Buffer | null> {
    const here = this.take();
    if (here !== null) return here;
    if (this.#failure !== null) throw this.#failure;
    if (this.#isDone) return null;
    this.#owner.waits();
    try {
      const chunk = await this.#source.read();
      this.#owner.rests();
      if (chunk === null || this.#source.isOver) this.#end();
      return chunk;
    } catch (thrown) {
      throw this.#broken(thrown);
    }
  }

  take(): Buffer | null {
    if (this.#isDone) return null;
    try {
      const chunk = this.#source.take();
      if (this.#source.isOver) this.#end();
      return chunk;
    } catch (thrown) {
      this.#broken(thrown);
      return null;
    }
  }

  cancel(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#owner.cancel();
  }

  /** Told with the last bytes, for the reader may not come again. */
  #end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#hasEnded = true;
    this.#onEnd();
  }

  #broken(thrown: unknown): EgressError {
    if (this.#failure !== null) return this.#failure;
    this.#isDone = true;
    const error = this.#owner.broken(thrown);
    this.#failure =
      error.code === 'connection_terminated' ? new EgressError('http_response_incomplete', { cause: error }) : error;
    return this.#failure;
  }
}
