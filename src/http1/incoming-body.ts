/**
 * Duty: the body of a message that is being read.
 * In → Out: body events of the parser → chunks on demand.
 * Holds: one event is looked at ahead, so that the end is known with the last byte; a chunk that is here comes before any
 *   failure; after `cancel` or `discard` nothing is handed out any more.
 * Fails: what the parser throws, what the reader says; `internal` for a read after `cancel`.
 * Not here: the stream (message-reader.ts).
 */
import { EgressError, toEgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body, Framing } from '../core/message.ts';
import type { ParserEvent } from './message-parser.ts';

interface Reading {
  resolve(chunk: Buffer | null): void;
  reject(error: EgressError): void;
}

interface Discarding {
  leftBytes: number;
  readonly done: (isOver: boolean) => void;
}

export class IncomingBody implements Body {
  readonly length: number | null;
  readonly #pull: () => ParserEvent<unknown> | null;
  readonly #streamFailure: () => EgressError | null;
  #ahead: Buffer | null = null;
  #failure: EgressError | null = null;
  #hasEnded = false;
  #isCancelled = false;
  #trailers: HeaderList | null = null;
  #reading: Reading | null = null;
  #ready: (() => void) | null = null;
  #discarding: Discarding | null = null;

  /** `pull`: the parser's next event; `streamFailure`: why no more can come, null while it may. */
  constructor(framing: Framing, pull: () => ParserEvent<unknown> | null, streamFailure: () => EgressError | null) {
    this.length = framing.kind === 'length' ? framing.length : framing.kind === 'none' ? 0 : null;
    this.#pull = pull;
    this.#streamFailure = streamFailure;
  }

  /** The last byte of the message has arrived and was taken. */
  get isOver(): boolean {
    return this.#hasEnded && this.#ahead === null;
  }

  get isAwaited(): boolean {
    return this.#reading !== null || this.#ready !== null || this.#discarding !== null;
  }

  get trailers(): HeaderList | null {
    return this.isOver ? this.#trailers : null;
  }

  take(): Buffer | null {
    if (this.#isCancelled || this.#reading !== null) return null;
    return this.#next();
  }

  read(): Promise<Buffer | null> {
    if (this.#isCancelled) return Promise.reject(cancelled());
    if (this.#reading !== null) return Promise.reject(new EgressError('internal', { detail: 'two reads of a body' }));
    const chunk = this.#next();
    if (chunk !== null || this.#hasEnded) return Promise.resolve(chunk);
    const failure = this.#failure ?? this.#streamFailure();
    if (failure !== null) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
    });
  }

  wait(ready: () => void): boolean {
    this.#ready = ready;
    if (this.#isCancelled) this.#tell();
    else this.wake();
    return true;
  }

  /** The rest is dropped by the next `next()` or `drain()` of the reader. */
  cancel(): void {
    if (this.#isCancelled || this.isOver) return;
    this.#isCancelled = true;
    const reading = this.#reading;
    this.#reading = null;
    reading?.reject(cancelled());
    this.#tell();
  }

  /** Drops the rest; resolves as `MessageReader.drain` says. */
  discard(limitBytes: number): Promise<boolean> {
    this.cancel();
    this.#discarding?.done(false);
    return new Promise((done) => {
      this.#discarding = { leftBytes: limitBytes, done };
      this.wake();
    });
  }

  /** Something has happened to the stream: gives whoever waits what there is. */
  wake(): void {
    if (this.#discarding !== null) this.#discard(this.#discarding);
    const reading = this.#reading;
    if (reading === null) {
      this.lookAhead();
      if (this.#ready !== null && this.#hasNews()) this.#tell();
      return;
    }
    const chunk = this.#next();
    const failure = chunk === null && !this.#hasEnded ? (this.#failure ?? this.#streamFailure()) : null;
    if (chunk === null && !this.#hasEnded && failure === null) return;
    this.#reading = null;
    if (failure === null) reading.resolve(chunk);
    else reading.reject(failure);
  }

  /** Takes the next event off the parser where there is room for it. */
  lookAhead(): void {
    if (this.#ahead !== null || this.#hasEnded || this.#failure !== null) return;
    try {
      const event = this.#pull();
      if (event?.kind === 'data') this.#ahead = event.bytes;
      else if (event?.kind === 'end') {
        this.#hasEnded = true;
        this.#trailers = event.trailers;
      }
    } catch (thrown) {
      this.#failure = toEgressError(thrown);
    }
  }

  #hasNews(): boolean {
    return this.#ahead !== null || this.#hasEnded || (this.#failure ?? this.#streamFailure()) !== null;
  }

  #tell(): void {
    const ready = this.#ready;
    this.#ready = null;
    ready?.();
  }

  #next(): Buffer | null {
    this.lookAhead();
    const chunk = this.#ahead;
    this.#ahead = null;
    if (chunk !== null) this.lookAhead();
    return chunk;
  }

  #discard(discarding: Discarding): void {
    for (let chunk = this.#next(); chunk !== null; chunk = this.#next()) {
      discarding.leftBytes -= chunk.length;
      if (discarding.leftBytes < 0) break;
    }
    const isWithin = discarding.leftBytes >= 0;
    const isStuck = (this.#failure ?? this.#streamFailure()) !== null;
    if (!this.isOver && isWithin && !isStuck) return;
    this.#discarding = null;
    discarding.done(this.isOver && isWithin);
  }
}

function cancelled(): EgressError {
  return new EgressError('internal', { detail: 'the body was cancelled' });
}
