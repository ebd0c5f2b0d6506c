/**
 * Duty: `Authorization: Basic base64(<username>:<password>)`, or with the key in place of the username.
 * Holds: the encoded form is made of bytes, when it is written; the joined plain text is zeroed at once.
 * Fails: `credential_invalid` where there is no username or it has a colon; what secret-bytes.ts throws.
 * Source: RFC 7617 §2.
 */

import { base64Length, writeBase64 } from '../core/base64.ts';
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import { allocateSecretBytes, type Secret } from '../core/secret.ts';
import type { Credential } from '../credential/credential.ts';
import { optionalPart, requiredPart } from './secret-bytes.ts';

const PREFIX = 'Basic ';
const COLON = 0x3a;

/** `username` null: the credential's own. @throws EgressError */
export function basicFields(credential: Credential, username: string | null): readonly SecretField[] {
  const secret = requiredPart(credential, 'password', 'key');
  if (username !== null) return [basicField(Buffer.from(username, 'utf8'), secret)];
  return [basicField(requiredPart(credential, 'username'), secret)];
}

/** The key as the username, with an empty password: how Stripe and others take it. @throws EgressError */
export function basicKeyAsUsername(credential: Credential): readonly SecretField[] {
  return [basicField(requiredPart(credential, 'key', 'password'), null)];
}

/** The credential's own username wins over the one that the workload wrote. @throws EgressError */
export function basicKeyAsPassword(credential: Credential, username: string): readonly SecretField[] {
  return basicFields(credential, optionalPart(credential, 'username') === null ? username : null);
}

function basicField(user: Buffer | Secret, password: Secret | null): SecretField {
  const userBytes = (): Buffer => (Buffer.isBuffer(user) ? user : user.reveal());
  if (userBytes().includes(COLON)) throw new EgressError('credential_invalid', { detail: 'the username has a colon' });
  const length = userBytes().length + 1 + (password?.byteLength ?? 0);
  return {
    name: 'Authorization',
    byteLength: PREFIX.length + base64Length(length),
    copyTo: (target, offset) => {
      const plain = allocateSecretBytes(length);
      const own = userBytes();
      plain.set(own, 0);
      plain[own.length] = COLON;
      if (password !== null) plain.set(password.reveal(), own.length + 1);
      target.write(PREFIX, offset, 'latin1');
      writeBase64(plain, target, offset + PREFIX.length);
      plain.fill(0);
    },
  };
}
