/**
 * Duty: checks that the client's signature was made with the placeholder pair of this very workload.
 * In → Out: request as received, its parsed signature, payload hash → the canonical path under which it verified.
 * Holds: the client's clock is its own affair, but scope and X-Amz-Date must agree, and a presigned request must still be in
 *   its time.
 * Fails: `client_signature_invalid`, with which of the two it was: another access key, or a wrong signature.
 * Source: AWS SigV4; services differ in how often they want a path encoded, so both are tried.
 */
import { EgressError } from '../../core/errors.ts';
import type { Field, HeaderList } from '../../core/headers.ts';
import type { RequestHead } from '../../core/message.ts';
import type { ClientAuthorization } from './authorization-grammar.ts';
import { canonicalPath, canonicalRequest, hashCanonical, type PathEncoding } from './canonical-request.ts';
import type { Seed } from './chain.ts';
import { isS3 } from './scope.ts';
import { epochOf } from './scope-text.ts';
import type { KeyPair, SigningKeys } from './signing-keys.ts';
import { stringToSign } from './string-to-sign.ts';

const AMZ_DATE = /^[0-9]{8}T[0-9]{6}Z$/;
// S3 Control is signed either way, depending on the SDK.
const S3_ENCODINGS: readonly PathEncoding[] = ['raw', 'slashed', 'double'];
const ENCODINGS: readonly PathEncoding[] = ['double', 'single'];
/** As AWS has it. */
const MAX_AHEAD_MS = 15 * 60_000;

const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });

/** What of the received request stands in its canonical form already. */
export interface CanonicalParts {
  readonly query: string;
  readonly payloadHash: string;
}

export interface Verified {
  readonly encoding: PathEncoding;
  /** The path in that encoding. */
  readonly path: string;
  /** The same as it was signed, without an encoding. */
  readonly of: string;
  /** What signatures in the body are chained to. */
  readonly seed: Seed;
}

/** @throws EgressError `client_signature_invalid`. */
export function verifyClientSignature(
  head: RequestHead,
  authorization: ClientAuthorization,
  pair: KeyPair,
  { query, payloadHash }: CanonicalParts,
  keys: SigningKeys,
): Verified {
  const { scope, signedNames, signature } = authorization;
  const amzDate = amzDateIn(head, authorization);
  const received = head.signedAs === undefined ? head.headers : asSent(head.headers, head.signedAs.host);
  const fields = signedNames.includes(':authority') ? withAuthority(received) : received.fields;
  const of = head.signedAs?.path ?? head.path;
  let tried: string | null = null;
  for (const encoding of isS3(scope) ? S3_ENCODINGS : ENCODINGS) {
    const path = canonicalPath(of, encoding);
    if (path === tried) continue;
    tried = path;
    const canonical = canonicalRequest({
      method: head.method,
      path,
      query,
      fields,
      signedNames,
      secretName: null,
      payloadHash,
    });
    const text = stringToSign(amzDate, scope, hashCanonical(canonical, null));
    if (keys.verify(pair, scope, text, signature)) return { encoding, path, of, seed: { amzDate, scope, signature } };
  }
  throw invalid('the signature does not match: another secret key, or the request was changed after it was signed');
}

/** A client of a gateway signs for the host that it calls. */
function asSent(headers: HeaderList, host: string): HeaderList {
  const sent = headers.copy();
  sent.set('Host', host);
  return sent;
}

/** HTTP/2 has the host under another name. */
function withAuthority(headers: HeaderList): readonly Field[] {
  const host = headers.get('host');
  return host === undefined
    ? headers.fields
    : [...headers.fields, { name: ':authority', key: ':authority', value: host }];
}

function amzDateIn(head: RequestHead, { scope, presigned }: ClientAuthorization): string {
  const [amzDate, another] = presigned === null ? head.headers.getAll('x-amz-date') : [presigned.amzDate];
  if (amzDate === undefined || another !== undefined || !AMZ_DATE.test(amzDate))
    throw invalid('X-Amz-Date is missing, repeated or malformed');
  if (!amzDate.startsWith(scope.date)) throw invalid('X-Amz-Date and the credential scope have different dates');
  return amzDate;
}

/** A presigned request is good for as long as its signer said. @throws EgressError `client_signature_invalid`. */
export function checkLifetime({ presigned }: ClientAuthorization, nowMs: number): void {
  if (presigned === null) return;
  const signedAt = epochOf(presigned.amzDate);
  if (!Number.isFinite(signedAt)) throw invalid('X-Amz-Date is missing, repeated or malformed');
  if (signedAt > nowMs + MAX_AHEAD_MS) throw invalid('the presigned request is dated in the future');
  if (signedAt + presigned.expiresSeconds * 1_000 <= nowMs)
    throw invalid('the presigned request has expired; sign it again');
}
