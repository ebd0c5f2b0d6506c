/**
 * Duty: `Authorization: Basic base64(<username>:<password>)`, or with the key in place of the username.
 * Holds: the encoded form is made of bytes, when it is written.
 * Fails: `credential_invalid` where there is no username or it has a colon; what secret-bytes.ts throws.
 * Source: RFC 7617 §2.
 * Not here: the encoding (core/basic.ts).
 */

import { basicLength, writeBasic } from '../core/basic.ts';
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import type { Secret } from '../core/secret.ts';
import type { Credential } from '../credential/credential.ts';
import { optionalPart, requiredPart } from './secret-bytes.ts';

const PREFIX = 'Basic ';
const COLON = 0x3a;
const NO_PASSWORD = Buffer.alloc(0);

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
  return {
    name: 'Authorization',
    byteLength: PREFIX.length + basicLength(userBytes().length, password?.byteLength ?? 0),
    copyTo: (target, offset) => {
      target.write(PREFIX, offset, 'latin1');
      writeBasic(userBytes(), password?.reveal() ?? NO_PASSWORD, target, offset + PREFIX.length);
    },
  };
}
