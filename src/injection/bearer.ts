/**
 * Duty: `Authorization: Bearer <key>`.
 * Source: RFC 6750 §2.1.
 */
import type { SecretField } from '../core/headers.ts';
import type { Credential } from '../credential/credential.ts';
import { requiredPart, secretField } from './secret-bytes.ts';

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function bearerFields(credential: Credential): readonly SecretField[] {
  return [secretField('Authorization', 'Bearer ', requiredPart(credential, 'key', 'password'))];
}
