/**
 * Duty: the JSON of a request, with secrets written as bytes.
 * In → Out: `{ role: "agents", jwt: <Secret> }` → a buffer of its own, which the caller zeroes.
 * Holds: no string is ever made of a secret.
 * Fails: `credential_invalid` for a secret that JSON would have to escape; tokens never need that.
 * Source: RFC 8259 §7.
 * Not here: what comes back (json.ts).
 */
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, Secret } from '../core/secret.ts';

export type JsonBody = Readonly<Record<string, string | number | boolean | Secret>>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function writeJsonBody(members: JsonBody): Buffer {
  const parts: Buffer[] = [];
  let text = '{';
  let separator = '';
  for (const [name, value] of Object.entries(members)) {
    text += `${separator}${JSON.stringify(name)}:`;
    separator = ',';
    if (value instanceof Secret) {
      parts.push(Buffer.from(`${text}"`, 'utf8'), plainBytes(value));
      text = '"';
    } else text += JSON.stringify(value);
  }
  parts.push(Buffer.from(`${text}}`, 'utf8'));
  const whole = allocateSecretBytes(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) at += part.copy(whole, at);
  return whole;
}

function plainBytes(secret: Secret): Buffer {
  const bytes = secret.reveal();
  if (bytes.some((byte) => byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH))
    throw new EgressError('credential_invalid', { detail: 'a token for the credential source has an unusable byte' });
  return bytes;
}
