/**
 * Duty: a request body that can be sent once more.
 * In → Out: Body → the same Body, and another one with the same bytes.
 * Holds: what was handed out is kept up to a limit, beyond which nothing is; a cancellation waits until it is known that nobody
 *   reads again, so that an upstream that answers early does not cost the rest of the body.
 * Not here: whether the request may be repeated (replay.ts).
 */
import { EgressError } from './errors.ts';
import type { HeaderList } from './headers.ts';
import type { Body } from './message.ts';

export class RepeatableBody implements Body {
  readonly length: number | null;
  readonly #source: Body;
  readonly #maxBytes: number;
  /** What was handed out, in order; null: it is too much, or nobody will ask again. */
  #kept: Buffer[] | null;
  #keptBytes = 0;
  #reading: Promise<Buffer | null> | null = null;
  #hasEnded = false;
  #isCancelled = false;

  constructor(source: Body, maxBytes: number) {
    this.length = source.length;
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#kept = source.length !== null && source.length > maxBytes ? null : [];
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers;
  }

  get isOver(): boolean {
    return this.#hasEnded || this.#source.isOver;
  }

  read(): Promise<Buffer | null> {
    const reading = this.#source.read().then((chunk) => {
      this.#reading = null;
      return this.#keep(chunk);
    });
    this.#reading = reading;
    return reading;
  }

  take(): Buffer | null {
    const chunk = this.#source.take();
    return chunk === null ? null : this.#keep(chunk);
  }

  cancel(): void {
    this.#isCancelled = true;
    if (this.#kept === null) this.#source.cancel();
  }

  /** It can be had again. */
  get isKept(): boolean {
    return this.#kept !== null;
  }

  /** All of it from the beginning. The reader of before reads no more. Where it is not kept, a body that cannot be read. */
  again(): Body {
    const kept = this.#kept;
    if (kept === null) return GONE;
    this.#isCancelled = false;
    this.#kept = null;
    return new RepeatedBody(kept, this, () => this.#reading);
  }

  /** Nobody asks for it again. Idempotent. */
  settle(): void {
    this.#kept = null;
    if (this.#isCancelled && !this.isOver) this.#source.cancel();
  }

  #keep(chunk: Buffer | null): Buffer | null {
    if (chunk === null) this.#hasEnded = true;
    else if (this.#kept !== null) {
      this.#keptBytes += chunk.length;
      if (this.#keptBytes <= this.#maxBytes) this.#kept.push(chunk);
      else this.settle();
    }
    return chunk;
  }
}

const GONE: Body = Object.freeze({
  ...{ length: null, isOver: false, trailers: null },
  read: () => Promise.reject(new EgressError('internal', { detail: 'the body was not kept' })),
  take: () => null,
  cancel: () => {},
});

/** First what was handed out before, then what the source still has. */
class RepeatedBody implements Body {
  readonly length: number | null;
  readonly #kept: Buffer[];
  readonly #rest: Body;
  /** What the reader of before was still waiting for: it goes to `kept` no more, so it is taken here. */
  #pending: Promise<Buffer | null> | null;

  constructor(kept: Buffer[], rest: Body, pending: () => Promise<Buffer | null> | null) {
    this.length = rest.length;
    this.#kept = [...kept];
    this.#rest = rest;
    this.#pending = pending();
    // Also heard where nobody reads so far.
    this.#pending?.catch(() => {});
  }

  get trailers(): HeaderList | null {
    return this.#rest.trailers;
  }

  get isOver(): boolean {
    return this.#kept.length === 0 && this.#pending === null && this.#rest.isOver;
  }

  async read(): Promise<Buffer | null> {
    const kept = this.#kept.shift();
    if (kept !== undefined) return kept;
    const pending = this.#pending;
    this.#pending = null;
    return pending ?? this.#rest.read();
  }

  take(): Buffer | null {
    const kept = this.#kept.shift();
    if (kept !== undefined) return kept;
    return this.#pending === null ? this.#rest.take() : null;
  }

  cancel(): void {
    this.#kept.length = 0;
    this.#rest.cancel();
  }
}
