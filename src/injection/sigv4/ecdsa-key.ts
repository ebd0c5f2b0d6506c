/**
 * Duty: the P-256 key pair of SigV4A, derived from a key id and a secret access key; signs and verifies with it.
 * In → Out: key id, secret → key pair; text → signature as hex of its DER form, as AWS writes it.
 * Holds: derived once for each secret and never given out for one that has been destroyed. What was derived in buffers is
 *   zeroed; OpenSSL clears its own copy when the pair is collected with its secret.
 * Fails: `secret_destroyed`.
 * Source: AWS SigV4A ("Derive a signing key", NIST SP 800-108 in counter mode); FIPS 186-5; RFC 5915 (the DER form).
 */
import { createHmac, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes, type Secret } from '../../core/secret.ts';

const PREFIX = Buffer.from('AWS4A', 'latin1');
const LABEL = 'AWS4-ECDSA-P256-SHA256';
const MAX_COUNTER = 254;
const KEY_BYTES = 32;
/** Order of the group, less two. */
const LARGEST = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254f', 'hex');
/** ECPrivateKey around the key: version 1, curve prime256v1. */
const DER_BEFORE = Buffer.from('30310201010420', 'hex');
const DER_AFTER = Buffer.from('a00a06082a8648ce3d030107', 'hex');

interface EcdsaPair {
  readonly accessKeyId: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** 32 bytes, for the caller to zero. */
export function deriveEcdsaKey(accessKeyId: string, secretAccessKey: Buffer): Buffer {
  const secret = allocateSecretBytes(PREFIX.length + secretAccessKey.length);
  secret.set(PREFIX, 0);
  secret.set(secretAccessKey, PREFIX.length);
  try {
    for (let counter = 1; counter <= MAX_COUNTER; counter++) {
      const candidate = createHmac('sha256', secret)
        .update(Buffer.from([0, 0, 0, 1]))
        .update(`${LABEL}\0${accessKeyId}`, 'latin1')
        .update(Buffer.from([counter, 0, 0, 1, 0]))
        .digest();
      if (candidate.compare(LARGEST) <= 0) return plusOne(candidate);
      candidate.fill(0);
    }
  } finally {
    secret.fill(0);
  }
  throw new EgressError('internal', { detail: 'no SigV4A key can be derived' });
}

function plusOne(number: Buffer): Buffer {
  for (let i = number.length - 1; i >= 0; i--) {
    const sum = (number[i] ?? 0) + 1;
    number[i] = sum & 0xff;
    if (sum <= 0xff) break;
  }
  return number;
}

export class EcdsaKeys {
  readonly #pairs = new WeakMap<Secret, EcdsaPair>();

  /** @throws EgressError `secret_destroyed`. */
  sign(accessKeyId: string, secret: Secret, text: string): string {
    const { privateKey } = this.#pairOf(accessKeyId, secret);
    return sign('sha256', Buffer.from(text, 'latin1'), privateKey).toString('hex');
  }

  /** `signature`: hex. @throws EgressError `secret_destroyed`. */
  verify(accessKeyId: string, secret: Secret, text: string, signature: string): boolean {
    const { publicKey } = this.#pairOf(accessKeyId, secret);
    return verify('sha256', Buffer.from(text, 'latin1'), publicKey, Buffer.from(signature, 'hex'));
  }

  #pairOf(accessKeyId: string, secret: Secret): EcdsaPair {
    const bytes = secret.reveal();
    const known = this.#pairs.get(secret);
    if (known?.accessKeyId === accessKeyId) return known;
    const derived = deriveEcdsaKey(accessKeyId, bytes);
    const der = allocateSecretBytes(DER_BEFORE.length + KEY_BYTES + DER_AFTER.length);
    der.set(DER_BEFORE, 0);
    der.set(derived, DER_BEFORE.length);
    der.set(DER_AFTER, DER_BEFORE.length + KEY_BYTES);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'sec1' });
    der.fill(0);
    derived.fill(0);
    const pair = { accessKeyId, privateKey, publicKey: createPublicKey(privateKey) };
    this.#pairs.set(secret, pair);
    return pair;
  }
}
