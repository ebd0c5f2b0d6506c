/**
 * Duty: what waits to be written, as one piece at a time.
 * In → Out: parts in their order → one buffer for one write.
 * Holds: parts of one `put` stay together; a part with a secret is zeroed when it has been joined, and the piece that it went
 *   into is marked, so that whoever writes it zeroes that too.
 * Not here: the socket (wire-link.ts).
 */
import { joinedBytes } from '../core/secret.ts';

export interface Piece {
  readonly bytes: Buffer;
  /** To be zeroed as soon as the socket has taken it. */
  readonly isSecret: boolean;
}

export class Outbox {
  #parts: Buffer[] = [];
  #secretParts: Buffer[] | null = null;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  put(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }

  /** `bytes` holds a secret, and `parts` are it, or slices of it among others. */
  putSecret(parts: readonly Buffer[], bytes: Buffer): void {
    for (const part of parts) this.put(part);
    this.#secretParts ??= [];
    this.#secretParts.push(bytes);
  }

  /** Null where there is nothing. */
  take(): Piece | null {
    const parts = this.#parts;
    const [first] = parts;
    if (first === undefined) return null;
    const secrets = this.#secretParts;
    const isSecret = secrets !== null;
    const bytes = parts.length === 1 && !isSecret ? first : joinedBytes(parts, isSecret);
    for (const secret of secrets ?? []) secret.fill(0);
    this.#parts = [];
    this.#secretParts = null;
    this.#length = 0;
    return { bytes, isSecret };
  }

  /** It will never be written. */
  discard(): void {
    for (const secret of this.#secretParts ?? []) secret.fill(0);
    this.#parts = [];
    this.#secretParts = null;
    this.#length = 0;
  }
}
