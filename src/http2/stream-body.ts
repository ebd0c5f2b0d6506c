/**
 * Duty: the body of a message that comes on a stream.
 * In → Out: data of frames → chunks on demand.
 * Holds: what waits is bounded by the window that the peer was given, in bytes and in pieces; the peer is given more when bytes
 *   are taken; what arrived comes before any failure; after `cancel` nothing is handed out any more.
 * Fails: what it was failed with; `internal` for a read after `cancel`.
 * Not here: frames (machine.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';

interface Reading {
  resolve(chunk: Buffer | null): void;
  reject(error: EgressError): void;
}

/** A peer may cut what it sends into single bytes. */
const MAX_PIECES = 64;

export class StreamBody implements Body {
  /** Set once the head says so. */
  length: number | null = null;
  readonly #onTaken: (bytes: number) => void;
  readonly #onCancel: () => void;
  #chunks: Buffer[] = [];
  #hasEnded = false;
  #isCancelled = false;
  #trailers: HeaderList | null = null;
  #failure: EgressError | null = null;
  #reading: Reading | null = null;

  constructor(onTaken: (bytes: number) => void, onCancel: () => void) {
    this.#onTaken = onTaken;
    this.#onCancel = onCancel;
  }

  get isOver(): boolean {
    return this.#hasEnded && this.#chunks.length === 0 && !this.#isCancelled;
  }

  get isAwaited(): boolean {
    return this.#reading !== null;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  get trailers(): HeaderList | null {
    return this.isOver ? this.#trailers : null;
  }

  take(): Buffer | null {
    if (this.#isCancelled || this.#reading !== null) return null;
    const chunk = this.#chunks.shift() ?? null;
    if (chunk !== null) this.#onTaken(chunk.length);
    return chunk;
  }

  read(): Promise<Buffer | null> {
    if (this.#isCancelled) return Promise.reject(cancelled());
    if (this.#reading !== null) return Promise.reject(new EgressError('internal', { detail: 'two reads of a body' }));
    const chunk = this.take();
    if (chunk !== null || this.#hasEnded) return Promise.resolve(chunk);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
    });
  }

  cancel(): void {
    if (this.#isCancelled || this.isOver) return;
    this.#isCancelled = true;
    this.#chunks = [];
    this.#settle((reading) => reading.reject(cancelled()));
    this.#onCancel();
  }

  arrived(bytes: Buffer): void {
    if (this.#isCancelled || bytes.length === 0) return;
    if (this.#reading !== null) {
      this.#onTaken(bytes.length);
      this.#settle((reading) => reading.resolve(bytes));
      return;
    }
    this.#chunks.push(bytes);
    if (this.#chunks.length > MAX_PIECES) this.#chunks = [Buffer.concat(this.#chunks)];
  }

  ended(trailers: HeaderList | null): void {
    this.#hasEnded = true;
    this.#trailers = trailers;
    this.#settle((reading) => reading.resolve(null));
  }

  /** No more will come; without effect where the end has. */
  failed(error: EgressError): void {
    if (this.#hasEnded) return;
    this.#failure ??= error;
    this.#settle((reading) => reading.reject(error));
  }

  #settle(how: (reading: Reading) => void): void {
    const reading = this.#reading;
    this.#reading = null;
    if (reading !== null) how(reading);
  }
}

const cancelled = (): EgressError => new EgressError('internal', { detail: 'the body was cancelled' });
