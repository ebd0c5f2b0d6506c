/**
 * Duty: a response body without secrets and with masked members, as it flows.
 * In → Out: Body → Body of the same length.
 * Holds: trailers are clean too; what was held back goes out before the end, and with the message of gRPC that it belongs to; the end
 *   and every error stay what they were.
 */
import { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';
import type { GrpcMessages } from './grpc-messages.ts';
import type { JsonMask } from './mask.ts';
import type { Scrubber } from './scrub.ts';

const NOTHING = Buffer.alloc(0);

export interface BodyFilters {
  readonly scrubber: Scrubber | null;
  readonly mask: JsonMask | null;
  /** Of a call of gRPC whose messages must not wait for each other. */
  readonly messages?: GrpcMessages | null;
  /** Called once at the end where there are trailers. */
  readonly cleanTrailers: (trailers: HeaderList) => HeaderList;
}

export class FilteredBody implements Body {
  readonly length: number | null;
  readonly #source: Body;
  readonly #filters: BodyFilters;
  #trailers: HeaderList | null = null;
  #over = false;
  #isCancelled = false;
  #failure: EgressError | null = null;

  constructor(source: Body, filters: BodyFilters) {
    this.length = source.length;
    this.#source = source;
    this.#filters = filters;
  }

  get trailers(): HeaderList | null {
    return this.#trailers;
  }

  get isOver(): boolean {
    return this.#over && !this.#isCancelled && this.#failure === null;
  }

  /** Not an async function: thousands of streams wait here, and what each of them keeps is copied by the collector. */
  read(): Promise<Buffer | null> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#over) return Promise.resolve(null);
    return this.#source.read().then((chunk) => {
      const bytes = chunk === null ? this.#finish() : this.#clean(chunk);
      return bytes.length > 0 ? bytes : this.read();
    });
  }

  take(): Buffer | null {
    while (!this.#over) {
      const chunk = this.#source.take();
      if (chunk === null && !this.#source.isOver) return null;
      const bytes = chunk === null ? this.#finish() : this.#clean(chunk);
      if (bytes.length > 0) return bytes;
    }
    return null;
  }

  wait(ready: () => void): boolean {
    return !this.#over && this.#source.wait?.(ready) === true;
  }

  cancel(): void {
    this.#isCancelled ||= !this.#over;
    this.#over = true;
    this.#source.cancel();
  }

  /** The last bytes go out together with what was held back. */
  #clean(chunk: Buffer): Buffer {
    const isLast = this.#source.isOver;
    // Secrets first: a mask that ended early would cut one in two, and neither half were recognised.
    const messages = this.#filters.messages?.push(chunk);
    if (messages instanceof EgressError) return this.#fail(messages);
    const isWhole = messages === true || isLast;
    const bytes = this.#masked(this.#filters.scrubber?.push(chunk, isWhole) ?? chunk);
    if (isLast) this.#finish();
    return bytes;
  }

  /** Told by `read`; `take` says nothing of the end. */
  #fail(error: EgressError): Buffer {
    this.#failure = error;
    this.#over = true;
    this.#source.cancel();
    return NOTHING;
  }

  #finish(): Buffer {
    this.#over = true;
    const { trailers } = this.#source;
    this.#trailers = trailers === null ? null : this.#filters.cleanTrailers(trailers);
    return this.#masked(this.#filters.scrubber?.flush() ?? NOTHING);
  }

  #masked(bytes: Buffer): Buffer {
    this.#filters.mask?.apply(bytes);
    return bytes;
  }
}
