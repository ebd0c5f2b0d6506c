/**
 * Duty: a request body whose signatures are made anew as it flows.
 * In → Out: Body, rewriter → Body of the same length.
 * Holds: what failed is told by `read` and never again goes on; the end comes only after the rewriter has seen it.
 * Fails: what the rewriter throws.
 * Not here: what is rewritten (signed-chunks.ts, signed-events.ts).
 */
import type { Body } from '../../core/message.ts';

export interface Rewriter {
  /** Takes the bytes over; what may leave now. @throws EgressError */
  push(bytes: Buffer): Buffer;
  /** The body is at its end; what was held back. @throws EgressError */
  finish(): Buffer;
}

export class ResignedBody implements Body {
  readonly length: number | null;
  /** What HTTP has behind the body is not signed. */
  readonly trailers = null;
  readonly #source: Body;
  readonly #rewriter: Rewriter;
  #failure: unknown = null;
  #isOver = false;

  constructor(source: Body, rewriter: Rewriter) {
    this.length = source.length;
    this.#source = source;
    this.#rewriter = rewriter;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async read(): Promise<Buffer | null> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#isOver) return null;
      const chunk = await this.#source.read();
      const bytes = this.#rewritten(chunk);
      if (bytes !== null && bytes.length > 0) return bytes;
    }
  }

  take(): Buffer | null {
    while (this.#failure === null && !this.#isOver) {
      const chunk = this.#source.take();
      if (chunk === null) return null;
      const bytes = this.#rewritten(chunk);
      if (bytes === null || bytes.length > 0) return bytes;
    }
    return null;
  }

  cancel(): void {
    this.#source.cancel();
  }

  /** Null where it failed. `chunk` null: the end. */
  #rewritten(chunk: Buffer | null): Buffer | null {
    try {
      const bytes = chunk === null ? null : this.#rewriter.push(chunk);
      if (chunk !== null && !this.#source.isOver) return bytes;
      const rest = this.#rewriter.finish();
      this.#isOver = true;
      return bytes === null || bytes.length === 0 ? rest : Buffer.concat([bytes, rest]);
    } catch (thrown) {
      this.#failure = thrown;
      return null;
    }
  }
}
