/**
 * Duty: HMAC-SHA256 with one key for many short texts.
 * In → Out: key → its two padded blocks, once; text → 64 hex digits, by two hashes of one call each.
 * Holds: all that is derived from the key stands in `bytes`, one buffer off the collected heap, for its owner to zero. The texts
 *   in it are not secret.
 * Source: RFC 2104 §2, FIPS 180-4. Measured: 0.8 µs for 180 bytes, `createHmac` 1.9 µs.
 */
import { hash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes } from '../../core/secret.ts';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** The longest string to sign has about half of it. */
const MAX_TEXT_BYTES = 512;
const OUTER_START = BLOCK_BYTES + MAX_TEXT_BYTES;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export class HmacKey {
  /** Zeroed by whoever owns the key; what is signed afterwards is worth nothing. */
  readonly bytes: Buffer = allocateSecretBytes(OUTER_START + BLOCK_BYTES + DIGEST_BYTES);
  readonly #outer: Buffer = this.bytes.subarray(OUTER_START);
  /** As long as the last text: nearly all have one length. */
  #inner: Buffer = this.bytes.subarray(0, BLOCK_BYTES);

  /** Copies the key, which may have 64 bytes. @throws EgressError `internal` */
  constructor(key: Uint8Array) {
    if (key.length > BLOCK_BYTES) throw new EgressError('internal', { detail: 'an HMAC key of more than a block' });
    for (let i = 0; i < BLOCK_BYTES; i++) {
      const byte = key[i] ?? 0;
      this.bytes[i] = byte ^ INNER_PAD;
      this.#outer[i] = byte ^ OUTER_PAD;
    }
  }

  /** 64 lower-case hex digits. `text`: Latin-1, one character one byte. @throws EgressError `internal` */
  sign(text: string): string {
    const { length } = text;
    if (length > MAX_TEXT_BYTES) throw new EgressError('internal', { detail: 'a text too long for this HMAC' });
    if (this.#inner.length !== BLOCK_BYTES + length) this.#inner = this.bytes.subarray(0, BLOCK_BYTES + length);
    this.bytes.write(text, BLOCK_BYTES, 'latin1');
    this.#outer.write(hash('sha256', this.#inner, 'hex'), BLOCK_BYTES, 'hex');
    return hash('sha256', this.#outer, 'hex');
  }
}
