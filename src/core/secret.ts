/**
 * Duty: a value that must never be shown.
 * In → Out: bytes → a box that prints as `[redacted]`.
 * Holds: one buffer of its own, neither from the shared pool nor on the collected heap; zeroed by `destroy`, with everything that was derived from it.
 * Fails: `secret_destroyed` when used after its end.
 * Not here: who may call `reveal` (only injection/, vault/, credential/sources; see test/architecture.test.ts).
 */
import { EgressError } from './errors.ts';

const REDACTED = '[redacted]';
const inspect = Symbol.for('nodejs.util.inspect.custom');

/**
 * A zeroed buffer for bytes of a secret. V8 keeps typed arrays of up to 64 bytes on its heap, where the collector copies them
 * and native calls move them out: zeroing would reach one copy of many. An ArrayBuffer never stands there.
 */
export function allocateSecretBytes(byteLength: number): Buffer {
  return Buffer.from(new ArrayBuffer(byteLength));
}

/** All parts in one. With a secret in it the copy does not come from the shared pool. */
export function joinedBytes(parts: readonly Buffer[], isSecret: boolean): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = isSecret ? allocateSecretBytes(length) : Buffer.allocUnsafe(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** What a file holds, without the line end and the blanks that an editor or `echo` left behind it. */
export function withoutBlankEnd(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte > 0x20) + 1);
}

export class Secret {
  #bytes: Buffer | null;
  /** Null where there is none. */
  #derived: Set<Uint8Array> | null = null;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Copies `bytes`; the caller keeps, and should zero, its own. */
  static copyOf(bytes: Uint8Array): Secret {
    const own = allocateSecretBytes(bytes.length);
    own.set(bytes);
    return new Secret(own);
  }

  /** Another box with the same bytes and an end of its own. @throws EgressError `secret_destroyed`. */
  clone(): Secret {
    return Secret.copyOf(this.reveal());
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

  /**
   * What was made of the bytes (another encoding, a signing key) is zeroed with them.
   * @throws EgressError `secret_destroyed`, after zeroing it.
   */
  attach(derived: Uint8Array): void {
    if (this.#bytes === null) {
      derived.fill(0);
      throw new EgressError('secret_destroyed', { detail: 'used after its end' });
    }
    this.#derived ??= new Set();
    this.#derived.add(derived);
  }

  /** Zeroes what was attached, before the secret itself ends. */
  detach(derived: Uint8Array): void {
    derived.fill(0);
    this.#derived?.delete(derived);
  }

  /** Zeroes the bytes and what was derived from them; idempotent. */
  destroy(): void {
    this.#bytes?.fill(0);
    this.#bytes = null;
    for (const derived of this.#derived ?? []) derived.fill(0);
    this.#derived = null;
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
