/**
 * Duty: the pair of Basic credentials, encoded: base64 of `<username>:<password>`.
 * In → Out: bytes of both → digits, written where the caller wants them.
 * Holds: nothing becomes a string; the joined plain text is zeroed at once.
 * Source: RFC 7617 §2.
 * Not here: the scheme's name before it; whether the username has a colon.
 */
import { base64Length, writeBase64 } from './base64.ts';
import { allocateSecretBytes } from './secret.ts';

const COLON = 0x3a;

/** Of the encoded pair, from the lengths of its halves. */
export const basicLength = (usernameLength: number, passwordLength: number): number =>
  base64Length(usernameLength + 1 + passwordLength);

/** Writes `basicLength(…)` bytes at `offset`. */
export function writeBasic(username: Uint8Array, password: Uint8Array, target: Uint8Array, offset: number): void {
  const plain = allocateSecretBytes(username.length + 1 + password.length);
  plain.set(username);
  plain[username.length] = COLON;
  plain.set(password, username.length + 1);
  writeBase64(plain, target, offset);
  plain.fill(0);
}
