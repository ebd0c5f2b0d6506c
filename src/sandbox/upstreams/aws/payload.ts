/**
 * Duty: checks a body against what the signed head says of it, and unwraps it.
 * In → Out: request, announced mode, seed of the signature → the bytes that are meant, or a failure.
 * Holds: a hash, a chunk signature, a decoded length and a trailer checksum are each computed anew; a mode that is not
 *   known is refused.
 * Source: Amazon S3 API Reference, sigv4-auth-using-authorization-header, sigv4-streaming, sigv4-streaming-trailers.
 */
import type { SandboxRequest } from '../message.ts';
import { type AwsChunked, decodeAwsChunked } from './aws-chunked.ts';
import { EMPTY_SHA256, sha256Hex, signatureOf } from './canonical.ts';
import { algorithmOf, checksum } from './checksums.ts';
import type { AwsFailure } from './failure.ts';

/** What chunk signatures are chained to. */
export interface Seed {
  readonly key: Buffer;
  readonly signature: string;
  readonly amzDate: string;
  /** `date/region/service/aws4_request` */
  readonly scope: string;
}

export type CheckedPayload =
  | { readonly ok: true; readonly body: Buffer; readonly trailers: AwsChunked['trailers'] }
  | { readonly ok: false; readonly failure: AwsFailure };

const HEX_HASH = /^[0-9a-f]{64}$/;
const UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
const SIGNED_CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const SIGNED_CHUNKS_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';

/** The last line of the canonical request; null where this service does not take what the client announced. */
export function payloadHashOf(request: SandboxRequest, isS3: boolean): string | null {
  const announced = request.headers.get('x-amz-content-sha256');
  if (announced === undefined) return isS3 ? null : sha256Hex(request.body);
  if (HEX_HASH.test(announced)) return announced;
  const isKnown = ['UNSIGNED-PAYLOAD', UNSIGNED_TRAILER, SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER].includes(announced);
  return isS3 && isKnown ? announced : null;
}

export function checkPayload(request: SandboxRequest, payloadHash: string, seed: Seed): CheckedPayload {
  const { body } = request;
  if (HEX_HASH.test(payloadHash)) {
    if (sha256Hex(body) === payloadHash) return { ok: true, body, trailers: [] };
    return no(
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  if (payloadHash === 'UNSIGNED-PAYLOAD') {
    if (!(request.headers.get('content-encoding') ?? '').includes('aws-chunked'))
      return { ok: true, body, trailers: [] };
    return no(
      'InvalidRequest',
      'aws-chunked encoding is not supported when x-amz-content-sha256 UNSIGNED-PAYLOAD is supplied.',
    );
  }
  const decoded = decodeAwsChunked(body);
  if (decoded === null) return no('IncompleteBody', 'The request body is not well-formed aws-chunked.');
  const isSigned = payloadHash !== UNSIGNED_TRAILER;
  if (isSigned) {
    const wrong = chainFailure(decoded, seed, payloadHash === SIGNED_CHUNKS_TRAILER);
    if (wrong !== null) return wrong;
  } else if (decoded.chunks.some((chunk) => chunk.signature !== null)) {
    return no('InvalidRequest', 'A chunk is signed in an unsigned stream.');
  }
  return checkDecoded(request, decoded, payloadHash !== SIGNED_CHUNKS);
}

function checkDecoded(request: SandboxRequest, decoded: AwsChunked, mayHaveTrailers: boolean): CheckedPayload {
  const body = Buffer.concat(decoded.chunks.map((chunk) => chunk.bytes));
  const stated = request.headers.get('x-amz-decoded-content-length');
  if (stated === undefined) return no('MissingContentLength', 'You must provide x-amz-decoded-content-length.', 411);
  if (stated !== `${body.length}`) {
    return no('IncompleteBody', 'The request body terminated unexpectedly: x-amz-decoded-content-length differs.');
  }
  const announced = (request.headers.get('x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const found = decoded.trailers.filter(({ name }) => name !== 'x-amz-trailer-signature');
  if (!mayHaveTrailers && decoded.trailers.length > 0)
    return no('MalformedTrailerError', 'Trailers were not announced.');
  if (announced.length !== found.length || found.some(({ name }) => !announced.includes(name))) {
    return no('MalformedTrailerError', 'The trailers are not those that x-amz-trailer names.');
  }
  for (const { name, value } of found) {
    const algorithm = algorithmOf(name);
    if (algorithm === null)
      return no('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
    if (checksum(algorithm, body) !== value) return badDigest(algorithm);
  }
  return { ok: true, body, trailers: found };
}

export const badDigest = (algorithm: string): { readonly ok: false; readonly failure: AwsFailure } =>
  no('BadDigest', `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`);

/** Each chunk is signed over the signature before it; the trailer over that of the last chunk. */
function chainFailure(decoded: AwsChunked, seed: Seed, hasTrailer: boolean): CheckedPayload | null {
  let previous = seed.signature;
  for (const { bytes, signature } of decoded.chunks) {
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${seed.amzDate}\n${seed.scope}\n${previous}\n${EMPTY_SHA256}\n${sha256Hex(bytes)}`;
    if (signature !== signatureOf(seed.key, text))
      return no('SignatureDoesNotMatch', 'A chunk signature does not match.', 403);
    previous = signature;
  }
  if (!hasTrailer) return null;
  const fields = decoded.trailers.filter(({ name }) => name !== 'x-amz-trailer-signature');
  const given = decoded.trailers.find(({ name }) => name === 'x-amz-trailer-signature')?.value;
  const hashed = sha256Hex(fields.map(({ name, value }) => `${name}:${value}\n`).join(''));
  const text = `AWS4-HMAC-SHA256-TRAILER\n${seed.amzDate}\n${seed.scope}\n${previous}\n${hashed}`;
  if (given === signatureOf(seed.key, text)) return null;
  return no('SignatureDoesNotMatch', 'The trailer signature does not match.', 403);
}

function no(code: string, message: string, status = 400): { readonly ok: false; readonly failure: AwsFailure } {
  return { ok: false, failure: { code, status, message } };
}
