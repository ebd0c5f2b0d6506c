/**
 * Duty: the body of a request whose sender waits to be told to continue.
 * Holds: it is told when somebody waits for the body, which nobody does before the decision; bytes that it sent unasked are
 *   taken without a word.
 * Source: RFC 9110 §10.1.1.
 */
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';

export class AwaitedBody implements Body {
  readonly length: number | null;
  readonly #source: Body;
  readonly #tell: () => void;

  /** `tell` is called by the first of several reads to some effect. */
  constructor(source: Body, tell: () => void) {
    this.length = source.length;
    this.#source = source;
    this.#tell = tell;
  }

  get isOver(): boolean {
    return this.#source.isOver;
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers;
  }

  take(): Buffer | null {
    return this.#source.take();
  }

  read(): Promise<Buffer | null> {
    this.#tell();
    return this.#source.read();
  }

  cancel(): void {
    this.#source.cancel();
  }
}
