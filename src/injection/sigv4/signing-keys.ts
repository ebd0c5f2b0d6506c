/**
 * Duty: signs and verifies texts with a key pair, by the algorithm of the scope.
 * In → Out: key pair, scope, text → signature; signature → whether it is right.
 * Holds: an HMAC is compared in constant time.
 * Fails: `secret_destroyed`.
 * Not here: the derivations (signing-key.ts, ecdsa-key.ts).
 */
import { timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../core/secret.ts';
import { EcdsaKeys } from './ecdsa-key.ts';
import { isRegional, type Scope } from './scope-text.ts';
import { SigningKeyCache } from './signing-key.ts';

export interface KeyPair {
  /** Names the secret across the process. */
  readonly owner: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
}

/** What a scope's algorithm writes: 64 lower-case hex digits, or an even number of them. */
export const HMAC_SIGNATURE = /^[0-9a-f]{64}$/;
export const ECDSA_SIGNATURE = /^30(?:[0-9a-f]{2}){7,71}$/;

const SIGNATURE_BYTES = 64;
const expectedBytes = Buffer.alloc(SIGNATURE_BYTES);
const givenBytes = Buffer.alloc(SIGNATURE_BYTES);

export class SigningKeys {
  readonly #hmac = new SigningKeyCache();
  readonly #ecdsa = new EcdsaKeys();

  /** @throws EgressError `secret_destroyed`. */
  sign({ owner, accessKeyId, secretAccessKey }: KeyPair, scope: Scope, text: string): string {
    return isRegional(scope)
      ? this.#hmac.keyFor(owner, secretAccessKey, scope).sign(text)
      : this.#ecdsa.sign(accessKeyId, secretAccessKey, text);
  }

  /** `signature` has the form of the scope's algorithm. @throws EgressError `secret_destroyed`. */
  verify(pair: KeyPair, scope: Scope, text: string, signature: string): boolean {
    if (!isRegional(scope)) return this.#ecdsa.verify(pair.accessKeyId, pair.secretAccessKey, text, signature);
    expectedBytes.write(this.sign(pair, scope, text), 0, 'latin1');
    givenBytes.write(signature, 0, 'latin1');
    return timingSafeEqual(expectedBytes, givenBytes);
  }
}
