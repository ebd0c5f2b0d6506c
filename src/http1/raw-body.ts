/**
 * Duty: the bytes of a stream that speaks HTTP no longer.
 * In → Out: what was read of it already, Duplex → Body, until the peer ends.
 * Holds: at most the high-water mark (and one read of the stream) waits unread; what arrived comes before any failure.
 * Fails: the code that it was given, where the stream broke.
 * Not here: who ends or destroys the stream: its owner.
 */
import type { Duplex } from 'node:stream';
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { Body } from '../core/message.ts';

const HIGH_WATER_BYTES = 65_536;

interface Reading {
  resolve(chunk: Buffer | null): void;
  reject(error: EgressError): void;
}

export class RawBody implements Body {
  readonly length = null;
  readonly trailers = null;
  readonly #stream: Duplex;
  readonly #cut: ErrorCode;
  readonly #onCancel: () => void;
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #isCancelled = false;
  #hasEnded = false;
  #failure: EgressError | null = null;
  #reading: Reading | null = null;

  /** Takes the stream over for reading. `onCancel`: the reader wants no more. */
  constructor(stream: Duplex, early: Buffer, cut: ErrorCode, onCancel: () => void = () => {}) {
    this.#stream = stream;
    this.#cut = cut;
    this.#onCancel = onCancel;
    if (early.length > 0) this.#arrived(early);
    stream.on('data', (bytes: Buffer) => this.#arrived(bytes));
    stream.on('end', () => this.#ended());
    stream.on('error', (cause) => this.#broke(cause));
    stream.on('close', () => this.#broke(null));
    if (stream.readableEnded) this.#ended();
    else if (stream.destroyed) this.#broke(null);
    else stream.resume();
  }

  get isOver(): boolean {
    return this.#hasEnded && this.#chunks.length === 0 && !this.#isCancelled;
  }

  take(): Buffer | null {
    const chunk = this.#chunks.shift() ?? null;
    if (chunk === null) return null;
    this.#waitingBytes -= chunk.length;
    if (this.#waitingBytes < HIGH_WATER_BYTES && this.#stream.isPaused()) this.#stream.resume();
    return chunk;
  }

  read(): Promise<Buffer | null> {
    const chunk = this.take();
    if (chunk !== null || this.#hasEnded || this.#isCancelled) return Promise.resolve(chunk);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
    });
  }

  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#chunks = [];
    // An end must still be noticed.
    this.#stream.resume();
    this.#settle((reading) => reading.resolve(null));
    this.#onCancel();
  }

  #arrived(bytes: Buffer): void {
    if (this.#isCancelled) return;
    if (this.#reading !== null) {
      this.#settle((reading) => reading.resolve(bytes));
      return;
    }
    this.#chunks.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#stream.pause();
  }

  #ended(): void {
    this.#hasEnded = true;
    this.#settle((reading) => reading.resolve(null));
  }

  #broke(cause: Error | null): void {
    if (this.#hasEnded) return;
    this.#failure ??= new EgressError(this.#cut, { detail: 'the connection broke', cause });
    const failure = this.#failure;
    this.#settle((reading) => reading.reject(failure));
  }

  #settle(how: (reading: Reading) => void): void {
    const reading = this.#reading;
    this.#reading = null;
    if (reading !== null) how(reading);
  }
}
