/**
 * Duty: base64 from bytes to bytes; the platform's own goes through a string.
 * Source: RFC 4648 §4, §5.
 */

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const PAD = 0x3d;

export const base64Length = (byteLength: number): number => Math.ceil(byteLength / 3) * 4;

/** Writes `base64Length(source.length)` bytes at `offset`, padding included. */
export function writeBase64(source: Uint8Array, target: Uint8Array, offset: number): void {
  let at = offset;
  for (let i = 0; i < source.length; i += 3) {
    const left = source.length - i;
    const bits = ((source[i] ?? 0) << 16) | ((source[i + 1] ?? 0) << 8) | (source[i + 2] ?? 0);
    target[at++] = ALPHABET[bits >> 18] ?? 0;
    target[at++] = ALPHABET[(bits >> 12) & 63] ?? 0;
    target[at++] = left > 1 ? (ALPHABET[(bits >> 6) & 63] ?? 0) : PAD;
    target[at++] = left > 2 ? (ALPHABET[bits & 63] ?? 0) : PAD;
  }
}
