/**
 * Duty: the string to sign, and the signature over it.
 * Source: AWS SigV4, "Create a string to sign", "Calculate the signature".
 */
import { createHmac } from 'node:crypto';
import { type Scope, scopeText } from './scope-text.ts';

/** `canonicalHash`: SHA-256 of the canonical request in lower-case hex. */
export function stringToSign(amzDate: string, scope: Scope, canonicalHash: string): string {
  return `AWS4-HMAC-SHA256\n${amzDate}\n${scopeText(scope)}\n${canonicalHash}`;
}

/** 64 lower-case hex digits. */
export function signatureOf(signingKey: Buffer, text: string): string {
  return createHmac('sha256', signingKey).update(text, 'latin1').digest('hex');
}
