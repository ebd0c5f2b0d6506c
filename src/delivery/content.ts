/**
 * Duty: what stands in a delivered file.
 * In → Out: credential and format → bytes, which the caller zeroes.
 * Holds: no string is made of a secret; a line of `env` is one line for a shell, whatever the value.
 * Fails: `credential_invalid` where the credential has nothing for the format.
 * Source: POSIX shell §2.2.2 (single quotes).
 */
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, type Secret } from '../core/secret.ts';
import type { Credential, CredentialPart } from '../credential/credential.ts';
import type { DeliveryFormat } from './options.ts';

/** The names that AWS SDKs read; for the others there is no custom. */
const VARIABLES: Readonly<Partial<Record<CredentialPart, string>>> = {
  key: 'API_KEY',
  username: 'USERNAME',
  password: 'PASSWORD',
  accessKeyId: 'AWS_ACCESS_KEY_ID',
  secretAccessKey: 'AWS_SECRET_ACCESS_KEY',
  sessionToken: 'AWS_SESSION_TOKEN',
};

const QUOTE = 0x27;
/** A quote within single quotes: end them, one quote, begin them again. */
const ESCAPED_QUOTE = Buffer.from(`'\\''`, 'latin1');
/** Bare also for readers that know no quotes, such as `docker --env-file`. */
const isBare = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  '_-./+=:@%,'.includes(String.fromCharCode(byte));

/** @throws EgressError `credential_invalid`. */
export function contentOf({ parts }: Pick<Credential, 'parts'>, format: DeliveryFormat): Buffer {
  switch (format) {
    case 'json':
      return copyOf(needed(parts, 'document'));
    case 'raw':
      return copyOf(needed(parts, 'key'));
    case 'env':
      return linesOf(parts);
  }
}

function needed(parts: Credential['parts'], part: CredentialPart): Secret {
  const secret = parts.get(part);
  if (secret === undefined)
    throw new EgressError('credential_invalid', {
      detail: `the credential has no ${part}: write format: json or env, or name the field under "fields" of the source`,
    });
  return secret;
}

function copyOf(secret: Secret): Buffer {
  const bytes = allocateSecretBytes(secret.byteLength);
  bytes.set(secret.reveal());
  return bytes;
}

function linesOf(parts: Credential['parts']): Buffer {
  const named = [...parts].flatMap(([part, secret]) => {
    const name = VARIABLES[part];
    return name === undefined ? [] : { head: Buffer.from(`${name}=`, 'latin1'), bytes: secret.reveal() };
  });
  const size = named.reduce((sum, { head, bytes }) => sum + head.length + quotedLength(bytes) + 1, 0);
  const lines = allocateSecretBytes(size);
  let at = 0;
  for (const { head, bytes } of named) {
    at += head.copy(lines, at);
    at = writeQuoted(bytes, lines, at);
    at = lines.writeUInt8(0x0a, at);
  }
  return lines;
}

function quotedLength(bytes: Buffer): number {
  if (bytes.every(isBare)) return bytes.length;
  return bytes.reduce((sum, byte) => sum + (byte === QUOTE ? ESCAPED_QUOTE.length : 1), 2);
}

function writeQuoted(bytes: Buffer, target: Buffer, start: number): number {
  if (bytes.every(isBare)) return start + bytes.copy(target, start);
  let at = target.writeUInt8(QUOTE, start);
  for (const byte of bytes) {
    if (byte === QUOTE) at += ESCAPED_QUOTE.copy(target, at);
    else at = target.writeUInt8(byte, at);
  }
  return target.writeUInt8(QUOTE, at);
}
