/**
 * Duty: a value that must never be shown.
 * In → Out: bytes → a box that prints as `[redacted]`.
 * Holds: one buffer of its own, not from the shared pool; zeroed by `destroy`.
 * Fails: `secret_destroyed` when used after its end.
 * Not here: who may call `reveal` (only injection/, vault/, credential/sources; see test/architecture.test.ts).
 */
import { EgressError } from './errors.ts';

const REDACTED = '[redacted]';
const inspect = Symbol.for('nodejs.util.inspect.custom');

export class Secret {
  #bytes: Buffer | null;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Copies `bytes`; the caller keeps, and should zero, its own. */
  static copyOf(bytes: Uint8Array): Secret {
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    return new Secret(own);
  }

  get byteLength(): number {
    return this.#bytes?.length ?? 0;
  }

  get isDestroyed(): boolean {
    return this.#bytes === null;
  }

  /** The live buffer: do not keep it, do not change it. @throws EgressError `secret_destroyed`. */
  reveal(): Buffer {
    if (this.#bytes === null) throw new EgressError('secret_destroyed', { detail: 'used after its end' });
    return this.#bytes;
  }

  /** Zeroes the bytes; idempotent. */
  destroy(): void {
    this.#bytes?.fill(0);
    this.#bytes = null;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect](): string {
    return REDACTED;
  }
}
