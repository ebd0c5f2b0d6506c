/**
 * Duty: the public keys with which tokens may be verified.
 * In → Out: a parsed JSON Web Key Set → KeySet; `kid` and algorithm → one key, or null.
 * Holds: symmetric, private and weak keys are not in it; a key serves the algorithms of its type alone; where two keys would
 *   do, none does.
 * Source: RFC 7517 §4, §5; RFC 8725 §3.1, §3.5; RFC 7518 §3.3 (2048 bits).
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { ALGORITHMS, type Algorithm } from '../options.ts';

interface VerificationKey {
  readonly kid: string | null;
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

const MAX_KEYS = 256;
const MIN_RSA_BITS = 2_048;
const MAX_RSA_BITS = 8_192;
const CURVES: Readonly<Record<string, Algorithm>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

export class KeySet {
  readonly #keys: readonly VerificationKey[];

  private constructor(keys: readonly VerificationKey[]) {
    this.#keys = keys;
  }

  /** Null where it is not a key set. `uses`: values of `use` that count; a key without one always does. */
  static from(document: unknown, uses: readonly string[]): KeySet | null {
    const keys = (document as { readonly keys?: unknown } | null)?.keys;
    if (!Array.isArray(keys) || keys.length > MAX_KEYS) return null;
    return new KeySet(keys.flatMap((jwk) => keyOf(jwk, uses) ?? []));
  }

  get size(): number {
    return this.#keys.length;
  }

  /** Without `kid` the one key that the algorithm fits. */
  find(kid: string | undefined, algorithm: string): KeyObject | null {
    const fitting = this.#keys.filter(
      (each) => each.algorithms.includes(algorithm) && (kid === undefined || each.kid === kid),
    );
    return fitting.length === 1 ? (fitting[0]?.key ?? null) : null;
  }
}

function keyOf(jwk: unknown, uses: readonly string[]): VerificationKey | null {
  if (typeof jwk !== 'object' || jwk === null || Object.hasOwn(jwk, 'd')) return null;
  const { kty, kid, use, alg, key_ops: operations } = jwk as Readonly<Record<string, unknown>>;
  if (kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP') return null;
  if (use !== undefined && !uses.some((each) => each === use)) return null;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null;
  try {
    const key = createPublicKey({ key: jwk as never, format: 'jwk' });
    const possible = algorithmsOf(key);
    const algorithms = alg === undefined ? possible : possible.filter((each) => each === alg);
    return algorithms.length === 0 ? null : { kid: typeof kid === 'string' ? kid : null, algorithms, key };
  } catch {
    return null;
  }
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly Algorithm[] {
  if (asymmetricKeyType === 'ed25519') return ['EdDSA'];
  if (asymmetricKeyType === 'ec') {
    const curve = CURVES[asymmetricKeyDetails?.namedCurve ?? ''];
    return curve === undefined ? [] : [curve];
  }
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  if (asymmetricKeyType !== 'rsa' || bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) return [];
  return ALGORITHMS.filter((each) => each.startsWith('RS') || each.startsWith('PS'));
}
