/**
 * Duty: checks that the client's signature was made with the placeholder pair of this very workload.
 * In → Out: request as received, its parsed signature, payload hash → the canonical path under which it verified.
 * Holds: the comparison takes constant time. The client's clock is its own affair, but scope and X-Amz-Date must agree.
 * Fails: `client_signature_invalid`, with which of the two it was: another access key, or a wrong signature.
 * Source: AWS SigV4; services differ in how often they want a path encoded, so both are tried.
 */
import { timingSafeEqual } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import type { RequestHead } from '../../core/message.ts';
import { Secret } from '../../core/secret.ts';
import type { Placeholders } from '../../workload/workload.ts';
import type { ClientAuthorization } from './authorization-grammar.ts';
import { canonicalPath, canonicalRequest, hashCanonical, type PathEncoding } from './canonical-request.ts';
import type { Seed } from './chunk-chain.ts';
import { isS3 } from './scope.ts';
import type { SigningKeyCache } from './signing-key.ts';
import { stringToSign } from './string-to-sign.ts';

const AMZ_DATE = /^[0-9]{8}T[0-9]{6}Z$/;
// S3 Control is signed either way, depending on the SDK.
const S3_ENCODINGS: readonly PathEncoding[] = ['raw', 'double'];
const ENCODINGS: readonly PathEncoding[] = ['double', 'single'];

const secrets = new WeakMap<Placeholders, Secret>();

const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });

/** What can be said before the body is here. @throws EgressError `client_signature_invalid`. */
export function checkClientKey(authorization: ClientAuthorization, placeholders: Placeholders): void {
  if (authorization.accessKeyId !== placeholders.awsAccessKeyId)
    throw invalid('signed with another access key than the placeholder of this workload');
}

/** What of the received request stands in its canonical form already. */
export interface CanonicalParts {
  readonly query: string;
  readonly payloadHash: string;
}

export interface Verified {
  readonly encoding: PathEncoding;
  /** The path in that encoding. */
  readonly path: string;
  readonly seed: Seed;
}

/** @throws EgressError `client_signature_invalid`. */
export function verifyClientSignature(
  head: RequestHead,
  authorization: ClientAuthorization,
  placeholders: Placeholders,
  { query, payloadHash }: CanonicalParts,
  keys: SigningKeyCache,
): Verified {
  const { scope, signedNames } = authorization;
  const amzDate = amzDateIn(head, authorization);
  const signingKey = keys.keyFor(placeholders.awsAccessKeyId, secretOf(placeholders), scope);
  let tried: string | null = null;
  for (const encoding of isS3(scope) ? S3_ENCODINGS : ENCODINGS) {
    const path = canonicalPath(head.path, encoding);
    if (path === tried) break;
    tried = path;
    const canonical = canonicalRequest({
      method: head.method,
      path,
      query,
      fields: head.headers.fields,
      signedNames,
      secretName: null,
      payloadHash,
    });
    const expected = signingKey.sign(stringToSign(amzDate, scope, hashCanonical(canonical, null)));
    if (isEqual(expected, authorization.signature))
      return { encoding, path, seed: { amzDate, scope, signature: expected } };
  }
  throw invalid('the signature does not match: another secret key, or the request was changed after it was signed');
}

/** Signs as the workload does. */
export const placeholderSigner =
  (placeholders: Placeholders, { scope }: Seed, keys: SigningKeyCache) =>
  (text: string): string =>
    keys.keyFor(placeholders.awsAccessKeyId, secretOf(placeholders), scope).sign(text);

const SIGNATURE_BYTES = 64;
const expectedBytes = Buffer.alloc(SIGNATURE_BYTES);
const givenBytes = Buffer.alloc(SIGNATURE_BYTES);

/** Both have 64 hex digits. */
function isEqual(expected: string, given: string): boolean {
  expectedBytes.write(expected, 0, 'latin1');
  givenBytes.write(given, 0, 'latin1');
  return timingSafeEqual(expectedBytes, givenBytes);
}

function amzDateIn(head: RequestHead, { scope }: ClientAuthorization): string {
  const [amzDate, another] = head.headers.getAll('x-amz-date');
  if (amzDate === undefined || another !== undefined || !AMZ_DATE.test(amzDate))
    throw invalid('X-Amz-Date is missing, repeated or malformed');
  if (!amzDate.startsWith(scope.date)) throw invalid('X-Amz-Date and the credential scope have different dates');
  return amzDate;
}

function secretOf(placeholders: Placeholders): Secret {
  const known = secrets.get(placeholders);
  if (known !== undefined) return known;
  const bytes = Buffer.from(placeholders.awsSecretAccessKey, 'latin1');
  const secret = Secret.copyOf(bytes);
  bytes.fill(0);
  secrets.set(placeholders, secret);
  return secret;
}
