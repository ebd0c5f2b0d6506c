/**
 * Duty: watches a request body on its way out: what was taken of it, who is being waited for, why it broke.
 * In → Out: Body → the same Body.
 * Holds: between a chunk and the next call the upstream is the one that takes its time, within `read` the workload is.
 */
import { type EgressError, toEgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';

export class RequestBody implements Body {
  readonly length: number | null;
  readonly #source: Body;
  readonly #onTurn: (isWriting: boolean) => void;
  readonly #stop = new AbortController();
  #taken = 0;
  #hasEnded = false;
  #failure: EgressError | null = null;

  /** `onTurn`: true when bytes were handed out and are being written, false while the source is asked. */
  constructor(source: Body, onTurn: (isWriting: boolean) => void) {
    this.length = source.length;
    this.#source = source;
    this.#onTurn = onTurn;
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers;
  }

  get isOver(): boolean {
    return this.#hasEnded || this.#source.isOver;
  }

  /** All of it was handed out. */
  get isWhole(): boolean {
    return this.isOver || (this.length !== null && this.#taken >= this.length);
  }

  /** Nothing of it was handed out. */
  get isUntouched(): boolean {
    return this.#taken === 0;
  }

  /** What the source threw. */
  get failure(): EgressError | null {
    return this.#failure;
  }

  /** Aborts when the rest is not to be written any more. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  async read(): Promise<Buffer | null> {
    this.#onTurn(false);
    try {
      return this.#hand(await this.#source.read());
    } catch (thrown) {
      this.#failure = toEgressError(thrown);
      throw this.#failure;
    }
  }

  take(): Buffer | null {
    const chunk = this.#source.take();
    return chunk === null ? null : this.#hand(chunk);
  }

  cancel(): void {
    this.#source.cancel();
  }

  /** Nothing more is to be read or written; idempotent, and nothing happens where all is out already. */
  stop(): void {
    if (this.isOver || this.#stop.signal.aborted) return;
    this.#stop.abort();
    if (!this.isWhole) this.#source.cancel();
  }

  #hand(chunk: Buffer | null): Buffer | null {
    if (chunk === null) this.#hasEnded = true;
    else this.#taken += chunk.length;
    this.#onTurn(true);
    return chunk;
  }
}
