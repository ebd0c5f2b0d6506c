/**
 * Duty: joins a stream and a machine: what arrives is taken at once, what waits goes out a piece at a time.
 * In → Out: Duplex ↔ Http2Machine.
 * Holds: one write is under way at most, so the stream keeps no second copy of what holds a secret, and one that held a secret
 *   is zeroed as soon as it was taken; what comes up within a turn leaves together.
 * Not here: deadlines, and who destroys the stream: its owner.
 */
import type { Duplex } from 'node:stream';
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { Http2Machine } from './machine.ts';

export class WireLink {
  readonly #stream: Duplex;
  readonly #machine: Http2Machine;
  readonly #gone: ErrorCode;
  #isScheduled = false;
  #isWriting = false;
  #onFlushed: (() => void) | null = null;

  /** `gone`: what it is where the peer goes. */
  constructor(stream: Duplex, machine: Http2Machine, gone: ErrorCode) {
    this.#stream = stream;
    this.#machine = machine;
    this.#gone = gone;
    stream.on('data', (bytes: Buffer) => machine.push(bytes));
    stream.on('end', () => this.#broke(null));
    stream.on('error', (cause) => this.#broke(cause));
    stream.on('close', () => this.#broke(null));
    if (stream.destroyed || stream.readableEnded) this.#broke(null);
    else stream.resume();
  }

  /** Something was written and is not taken yet. */
  get isWriting(): boolean {
    return this.#isWriting;
  }

  /** What waits leaves at the end of this turn. */
  readonly wake = (): void => {
    if (this.#isScheduled || this.#isWriting) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  };

  /** Resolves when nothing waits any more, or nothing can be written. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onFlushed = resolve;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isWriting) return;
    const { outgoing, failure } = this.#machine;
    if (failure === null) outgoing.fill();
    const piece = this.#stream.writable ? outgoing.outbox.take() : null;
    if (piece === null) {
      if (!this.#stream.writable) outgoing.outbox.discard();
      this.#onFlushed?.();
      this.#onFlushed = null;
      return;
    }
    const { bytes, isSecret } = piece;
    this.#isWriting = true;
    this.#stream.write(bytes, () => {
      if (isSecret) bytes.fill(0);
      this.#isWriting = false;
      this.#flush();
    });
  }

  #broke(cause: Error | null): void {
    this.#machine.fail(new EgressError(this.#gone, { detail: 'the connection ended', cause }));
    if (!this.#stream.writable) this.#flush();
  }
}
