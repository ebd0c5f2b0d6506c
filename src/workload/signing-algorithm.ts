/**
 * Duty: what the issuer's two algorithms differ in.
 * In → Out: algorithm → a new key; key → its public JWK, which names the algorithm; key and bytes → signature.
 * Holds: what a key signs with follows from the key alone; a signature never is a string.
 * Source: RFC 7518 §3.3 (RS256), §3.4 (ES256), §6; RFC 7638 (thumbprints).
 * Not here: which key signs and when (issuer-keys.ts).
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { base64UrlLength, writeBase64Url } from '../core/base64.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import type { SigningAlgorithm } from './options.ts';

/** `crv`, `x` and `y` of ES256, `e` and `n` of RS256. */
export type PublicJwk = Readonly<Record<'kty' | 'kid' | 'use', string>> & {
  readonly alg: SigningAlgorithm;
} & Readonly<Partial<Record<'crv' | 'x' | 'y' | 'e' | 'n', string>>>;

/** RFC 7518 §3.3: at least. */
const MODULUS_BITS = 2_048;

/** An RSA key takes a tenth of a second of this thread, once in the lifetime of a key. */
export function newPrivateKey(algorithm: SigningAlgorithm): KeyObject {
  return algorithm === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    : generateKeyPairSync('rsa', { modulusLength: MODULUS_BITS }).privateKey;
}

/** In base64url; the caller zeroes it. */
export function signatureOf(bytes: Buffer, key: KeyObject): Buffer {
  // PKCS #1 v1.5 is what Node takes for RSA where nothing is said.
  const signature = sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
  const digits = allocateSecretBytes(base64UrlLength(signature.length));
  writeBase64Url(signature, digits, 0);
  signature.fill(0);
  return digits;
}

/** Of a public key, or the public half of a private one. @throws where the key is neither on P-256 nor RSA of 2,048 bits or more. */
export function publicJwkOf(key: KeyObject): PublicJwk {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const { kty, crv, x, y, e, n } = publicKey.export({ format: 'jwk' });
  if (kty === 'EC' && crv === 'P-256' && x !== undefined && y !== undefined)
    return { kty, crv, x, y, kid: thumbprintOf({ crv, kty, x, y }), alg: 'ES256', use: 'sig' };
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (kty === 'RSA' && e !== undefined && n !== undefined && bits >= MODULUS_BITS)
    return { kty, e, n, kid: thumbprintOf({ e, kty, n }), alg: 'RS256', use: 'sig' };
  throw new Error('neither on P-256 nor RSA of 2,048 bits or more');
}

/** `members`: those that count, in the order of their names (RFC 7638 §3.2). */
const thumbprintOf = (members: Readonly<Record<string, string>>): string =>
  createHash('sha256').update(JSON.stringify(members)).digest('base64url');
