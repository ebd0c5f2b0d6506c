/**
 * Duty: how the body stands in the signature, by what the client announced in X-Amz-Content-Sha256.
 * In → Out: head, body → mode, payload hash, the body to send.
 * Holds: a body is buffered only where no hash was announced; what carries signatures itself is marked for them to be made
 *   anew, in every other mode it passes untouched.
 * Fails: `signing_unsupported` (contradictions, unknown modes), `request_malformed`, `request_body_too_large`.
 * Source: S3 API, sigv4-auth-using-authorization-header, sigv4-streaming, sigv4-streaming-trailers.
 * Not here: checking the body against the hash; AWS does. The signatures in the body (signed-chunks.ts, signed-events.ts).
 */
import { hash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import type { HeaderList } from '../../core/headers.ts';
import { type Body, bodyOf, collectBody, EMPTY_BODY, type Framing, type RequestHead } from '../../core/message.ts';
import type { Algorithm } from './scope-text.ts';
import type { ChunkedStream } from './signed-chunks.ts';

/** As the audit names it. */
export type PayloadMode =
  | 'signed-payload'
  | 'buffered-payload'
  | 'unsigned-payload'
  | 'streaming-unsigned-payload-trailer'
  | 'streaming-signed-payload'
  | 'streaming-signed-payload-trailer'
  | 'streaming-signed-events';

export interface Payload {
  readonly mode: PayloadMode;
  /** Last line of the canonical request. */
  readonly hash: string;
  readonly body: Body;
  readonly framing: Framing;
  /** Signatures in the body; null where it has none. */
  readonly links: Links | null;
}

export type Links =
  | { readonly of: 'chunks'; readonly algorithm: Algorithm; readonly stream: ChunkedStream }
  | { readonly of: 'events'; readonly algorithm: Algorithm };

export interface PayloadRequest {
  readonly head: RequestHead;
  readonly body: Body;
  /** Lets a client that waits send its body. */
  continue(): void;
}

type Announced = Pick<Payload, 'mode' | 'hash' | 'links'>;

const HEX_HASH = /^[0-9a-f]{64}$/;
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const UNSIGNED = 'UNSIGNED-PAYLOAD';
const CHUNKED = /^STREAMING-(AWS4-HMAC-SHA256|AWS4-ECDSA-P256-SHA256)-PAYLOAD(-TRAILER)?$/;
const LENGTH = /^(?:0|[1-9][0-9]{0,14})$/;

const unsupported = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });

/** Null where nothing is announced. @throws EgressError `signing_unsupported`, `request_malformed`. */
export function announcedMode(headers: HeaderList): Announced | null {
  const [announced, another] = headers.getAll('x-amz-content-sha256');
  if (announced === undefined) return null;
  if (another !== undefined) throw unsupported('X-Amz-Content-Sha256 is repeated');
  if (HEX_HASH.test(announced)) return { mode: 'signed-payload', hash: announced, links: null };
  if (announced === UNSIGNED) {
    if (isAwsChunked(headers)) throw unsupported('aws-chunked cannot be combined with UNSIGNED-PAYLOAD');
    return { mode: 'unsigned-payload', hash: announced, links: null };
  }
  if (announced === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    return { mode: 'streaming-unsigned-payload-trailer', hash: announced, links: null };
  if (announced === 'STREAMING-AWS4-HMAC-SHA256-EVENTS')
    return { mode: 'streaming-signed-events', hash: announced, links: { of: 'events', algorithm: 'AWS4-HMAC-SHA256' } };
  const [isChunked, algorithm, trailer] = CHUNKED.exec(announced) ?? [];
  if (isChunked === undefined)
    throw unsupported(
      'X-Amz-Content-Sha256 is neither a SHA-256 in lower-case hex nor a mode that can be signed again',
    );
  const stream = { decodedLength: decodedLength(headers), hasTrailer: trailer !== undefined };
  return {
    mode: stream.hasTrailer ? 'streaming-signed-payload-trailer' : 'streaming-signed-payload',
    hash: announced,
    links: { of: 'chunks', algorithm: algorithm as Algorithm, stream },
  };
}

function decodedLength(headers: HeaderList): number {
  const [length = '', another] = headers.getAll('x-amz-decoded-content-length');
  if (another === undefined && LENGTH.test(length)) return Number(length);
  throw new EgressError('request_malformed', {
    detail: 'X-Amz-Decoded-Content-Length is missing, repeated or no number',
  });
}

const isAwsChunked = (headers: HeaderList): boolean =>
  headers.getAll('content-encoding').some((value) => value.toLowerCase().includes('aws-chunked'));

/**
 * At once where nothing must be read. `isUnsigned`: where nothing is announced, nothing is signed of the body.
 * @throws EgressError `signing_unsupported`, `request_malformed`, `request_body_too_large`, and what reading the body throws.
 */
export function readPayload(
  request: PayloadRequest,
  isUnsigned: boolean,
  maxBufferedBodyBytes: number,
): Payload | Promise<Payload> {
  const { head, body } = request;
  const { framing } = head;
  const announced = announcedMode(head.headers);
  if (announced !== null) {
    const { mode, hash: announcedHash, links } = announced;
    return { mode, hash: announcedHash, links, body, framing };
  }
  if (isUnsigned) return { mode: 'unsigned-payload', hash: UNSIGNED, links: null, body, framing };
  const isEmpty = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
  if (isEmpty) return { mode: 'signed-payload', hash: EMPTY_HASH, links: null, body: EMPTY_BODY, framing };
  if ((body.length ?? 0) > maxBufferedBodyBytes) throw tooLarge(maxBufferedBodyBytes);
  return bufferPayload(request, maxBufferedBodyBytes);
}

async function bufferPayload(request: PayloadRequest, maxBufferedBodyBytes: number): Promise<Payload> {
  const { body } = request;
  request.continue();
  const bytes = await collectBody(body, maxBufferedBodyBytes);
  if (bytes === null) throw tooLarge(maxBufferedBodyBytes);
  const framing: Framing = { kind: 'length', length: bytes.length };
  return { mode: 'buffered-payload', hash: hash('sha256', bytes, 'hex'), links: null, body: bodyOf(bytes), framing };
}

const tooLarge = (maxBytes: number): EgressError =>
  new EgressError('request_body_too_large', {
    detail: `without X-Amz-Content-Sha256 a body may have ${maxBytes} bytes`,
  });
