/**
 * Duty: the string to sign.
 * Source: AWS SigV4, "Create a string to sign".
 * Not here: the signature over it (hmac-key.ts).
 */
import { type Scope, scopeText } from './scope-text.ts';

/** `canonicalHash`: SHA-256 of the canonical request in lower-case hex. */
export function stringToSign(amzDate: string, scope: Scope, canonicalHash: string): string {
  return `AWS4-HMAC-SHA256\n${amzDate}\n${scopeText(scope)}\n${canonicalHash}`;
}
