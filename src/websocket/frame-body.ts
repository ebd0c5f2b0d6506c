/**
 * Duty: one direction of a WebSocket on its way: checked, counted, and ended where somebody says so.
 * In → Out: Body of frames → the same bytes.
 * Holds: an end that is asked for comes at the end of a frame, with a last frame, or as a cut; what comes later is dropped.
 * Fails: what the frames throw; the code that it was given where the source ends within a frame.
 */
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { Body } from '../core/message.ts';
import { FrameScanner } from './frames.ts';

interface Reading {
  resolve(chunk: Buffer | null): void;
  reject(error: unknown): void;
}

export class FrameBody implements Body {
  readonly length = null;
  readonly trailers = null;
  readonly #source: Body;
  readonly #fault: ErrorCode;
  readonly #scanner: FrameScanner;
  #bytes = 0;
  #last: Buffer | null = null;
  #isEnded = false;
  #failure: unknown = null;
  #reading: Reading | null = null;

  constructor(source: Body, isMasked: boolean, fault: ErrorCode) {
    this.#source = source;
    this.#fault = fault;
    this.#scanner = new FrameScanner(isMasked, fault);
  }

  get frames(): number {
    return this.#scanner.count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isOver(): boolean {
    return this.#isEnded && this.#last === null;
  }

  take(): Buffer | null {
    if (this.#isEnded || this.#reading !== null) return this.#takeLast();
    if (this.#failure !== null) return null;
    const chunk = this.#source.take();
    if (chunk === null) return null;
    try {
      return this.#checked(chunk);
    } catch (thrown) {
      // For the next `read` to tell.
      this.#failure = thrown;
      return null;
    }
  }

  async read(): Promise<Buffer | null> {
    const last = this.#takeLast();
    if (last !== null || this.#isEnded) return last;
    if (this.#failure !== null) throw this.#failure;
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
      this.#source.read().then(
        (chunk) => this.#arrived(chunk),
        (thrown: unknown) => this.#settle((reading) => reading.reject(thrown)),
      );
    });
  }

  cancel(): void {
    this.#isEnded = true;
    this.#last = null;
    this.#source.cancel();
    this.#settle((reading) => reading.resolve(null));
  }

  /** Nothing more is handed out but `last`, and that only between two frames. */
  end(last: Buffer | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#last = this.#scanner.isBetweenFrames ? last : null;
    this.#settle((reading) => reading.resolve(this.#takeLast()));
  }

  #arrived(chunk: Buffer | null): void {
    this.#settle((reading) => {
      try {
        reading.resolve(chunk === null ? this.#sourceEnded() : this.#checked(chunk));
      } catch (thrown) {
        reading.reject(thrown);
      }
    });
  }

  #sourceEnded(): null {
    this.#isEnded = true;
    if (!this.#scanner.isBetweenFrames) throw new EgressError(this.#fault, { detail: 'WebSocket: cut within a frame' });
    return null;
  }

  #checked(chunk: Buffer): Buffer {
    this.#scanner.scan(chunk);
    this.#bytes += chunk.length;
    return chunk;
  }

  #takeLast(): Buffer | null {
    const last = this.#last;
    this.#last = null;
    return last;
  }

  #settle(how: (reading: Reading) => void): void {
    const reading = this.#reading;
    this.#reading = null;
    if (reading !== null) how(reading);
  }
}
