/**
 * Duty: base64 from bytes to bytes; the platform's own goes through a string, which a secret must not.
 * Source: RFC 4648 §4, §5.
 */

const COMMON = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const ALPHABET = Buffer.from(`${COMMON}+/`, 'latin1');
const URL_ALPHABET = Buffer.from(`${COMMON}-_`, 'latin1');
const PAD = 0x3d;

export const base64Length = (byteLength: number): number => Math.ceil(byteLength / 3) * 4;

/** Writes `base64Length(source.length)` bytes at `offset`, padding included. */
export function writeBase64(source: Uint8Array, target: Uint8Array, offset: number): void {
  const end = write(source, target, offset, ALPHABET);
  target.fill(PAD, end, offset + base64Length(source.length));
}

export const base64UrlLength = (byteLength: number): number => Math.ceil((byteLength * 4) / 3);

/** Writes `base64UrlLength(source.length)` bytes at `offset`, without padding. */
export function writeBase64Url(source: Uint8Array, target: Uint8Array, offset: number): void {
  write(source, target, offset, URL_ALPHABET);
}

/** One of the digits of base64url. */
export const isBase64UrlByte = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  byte === 0x2d ||
  byte === 0x5f;

/** Returns where the digits end. */
function write(source: Uint8Array, target: Uint8Array, offset: number, alphabet: Buffer): number {
  let at = offset;
  for (let i = 0; i < source.length; i += 3) {
    const left = source.length - i;
    const bits = ((source[i] ?? 0) << 16) | ((source[i + 1] ?? 0) << 8) | (source[i + 2] ?? 0);
    target[at++] = alphabet[bits >> 18] ?? 0;
    target[at++] = alphabet[(bits >> 12) & 63] ?? 0;
    if (left > 1) target[at++] = alphabet[(bits >> 6) & 63] ?? 0;
    if (left > 2) target[at++] = alphabet[bits & 63] ?? 0;
  }
  return at;
}
