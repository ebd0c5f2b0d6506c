/**
 * Duty: the key as a cookie, the only one of the request: those of the workload never leave on such a route.
 * Source: RFC 6265 §4.2.1.
 */
import type { Credential } from '../credential/credential.ts';
import type { Placement } from './placement.ts';
import { keyPart } from './secret-bytes.ts';
import { around, spelledSecret } from './secret-text.ts';

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function cookiePlacement(credential: Credential, name: string): Placement {
  const text = around(`${name}=`, spelledSecret(keyPart(credential), 'cookie'), '');
  return { injected: `cookie ${name}`, secretFields: [{ name: 'Cookie', ...text }] };
}
