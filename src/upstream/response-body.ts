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
  #ready: (() => void) | null = null;
  /** Made once, for a stream waits after every event. */
  #wake: (() => void) | null = null;

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

  /** Not an async function: thousands of streams wait here, and what each of them keeps is copied by the collector. */
  read(): Promise<Buffer | null> {
    const here = this.take();
    if (here !== null) return Promise.resolve(here);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#isDone) return Promise.resolve(null);
    this.#owner.waits();
    return this.#source.read().then(
      (chunk) => {
        this.#owner.rests();
        if (chunk === null || this.#source.isOver) this.#end();
        return chunk;
      },
      (thrown) => {
        throw this.#broken(thrown);
      },
    );
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

  wait(ready: () => void): boolean {
    if (this.#isDone || this.#source.wait === undefined) return false;
    this.#ready = ready;
    this.#wake ??= () => {
      this.#owner.rests();
      this.#ready?.();
    };
    this.#owner.waits();
    return this.#source.wait(this.#wake);
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
