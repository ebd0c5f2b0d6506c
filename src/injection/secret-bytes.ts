/**
 * Duty: the secret parts of a credential, fit to stand in a header, and their bytes.
 * In → Out: credential, part → `Secret`; bytes → a field that writes itself.
 * Holds: no secret becomes a string; bytes are read when they are written, so a destroyed secret is never sent.
 * Fails: `credential_invalid` (missing, empty, with control bytes), `secret_destroyed`.
 * Source: RFC 9110 §5.5 (field values).
 */
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import type { Secret } from '../core/secret.ts';
import type { Credential, CredentialPart } from '../credential/credential.ts';

const checked = new WeakSet<Secret>();

/** Null where the credential has no such part. @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function optionalPart(credential: Credential, part: CredentialPart): Secret | null {
  const secret = credential.parts.get(part);
  if (secret === undefined) return null;
  if (checked.has(secret) && !secret.isDestroyed) return secret;
  const bytes = secret.reveal();
  if (bytes.length === 0) throw new EgressError('credential_invalid', { detail: `the part "${part}" is empty` });
  for (const byte of bytes) {
    if (byte < 0x20 || byte === 0x7f)
      throw new EgressError('credential_invalid', { detail: `the part "${part}" has a control byte (a line end?)` });
  }
  checked.add(secret);
  return secret;
}

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function requiredPart(credential: Credential, ...names: readonly [CredentialPart, ...CredentialPart[]]): Secret {
  for (const name of names) {
    const secret = optionalPart(credential, name);
    if (secret !== null) return secret;
  }
  throw new EgressError('credential_invalid', { detail: `the credential has no part "${names.join('" or "')}"` });
}

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export const keyPart = (credential: Credential): Secret => requiredPart(credential, 'key', 'password');

/** `before`, the secret, `after`: Latin-1 text around the bytes. */
export function secretField(name: string, before: string, secret: Secret, after = ''): SecretField {
  const start = before.length;
  const length = secret.byteLength;
  return {
    name,
    byteLength: start + length + after.length,
    copyTo: (target, offset) => {
      const bytes = secret.reveal();
      target.write(before, offset, 'latin1');
      target.set(bytes, offset + start);
      if (after !== '') target.write(after, offset + start + length, 'latin1');
    },
  };
}
