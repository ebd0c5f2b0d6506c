/**
 * Duty: the body of a form, with secrets written as bytes.
 * In → Out: `{ grant_type: "…", client_assertion: <Secret> }` → a buffer of its own, which the caller zeroes.
 * Holds: no string is ever made of a secret; whatever is not unreserved is percent-encoded, so nothing can add a member.
 * Source: WHATWG URL §5.2 (a space as %20, which every reader of forms takes); RFC 3986 §2.3.
 */
import { allocateSecretBytes, Secret } from '../../core/secret.ts';
import { isUnreserved } from '../../core/unreserved.ts';

export const FORM_TYPE = 'application/x-www-form-urlencoded';

const HEX = '0123456789ABCDEF';
const PERCENT = 0x25;

/** @throws EgressError `secret_destroyed`. */
export function writeForm(members: Readonly<Record<string, string | Secret>>): Buffer {
  const parts: Uint8Array[] = [];
  const own: Buffer[] = [];
  let separator = '';
  for (const [name, value] of Object.entries(members)) {
    parts.push(Buffer.from(`${separator}${encodeURIComponent(name)}=`, 'latin1'));
    separator = '&';
    if (value instanceof Secret) {
      const encoded = percentEncode(value.reveal());
      own.push(encoded);
      parts.push(encoded);
    } else parts.push(percentEncode(Buffer.from(value, 'utf8')));
  }
  const whole = allocateSecretBytes(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  for (const encoded of own) encoded.fill(0);
  return whole;
}

/** The caller zeroes it. */
export function percentEncode(bytes: Uint8Array): Buffer {
  let length = 0;
  for (const byte of bytes) length += isUnreserved(byte) ? 1 : 3;
  const encoded = allocateSecretBytes(length);
  let at = 0;
  for (const byte of bytes) {
    if (isUnreserved(byte)) encoded[at++] = byte;
    else {
      encoded[at++] = PERCENT;
      encoded[at++] = HEX.charCodeAt(byte >> 4);
      encoded[at++] = HEX.charCodeAt(byte & 15);
    }
  }
  return encoded;
}
