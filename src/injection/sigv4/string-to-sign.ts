/**
 * Duty: the string to sign.
 * Source: AWS SigV4, "Create a string to sign".
 * Not here: the signature over it (signing-keys.ts).
 */
import { algorithmOf, type Scope, scopeText } from './scope-text.ts';

/** `canonicalHash`: SHA-256 of the canonical request in lower-case hex. */
export function stringToSign(amzDate: string, scope: Scope, canonicalHash: string): string {
  return `${algorithmOf(scope)}\n${amzDate}\n${scopeText(scope)}\n${canonicalHash}`;
}
