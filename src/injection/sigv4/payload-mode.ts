/**
 * Duty: how the body stands in the signature, by what the client announced in X-Amz-Content-Sha256.
 * In → Out: head, body → mode, payload hash, the body to send.
 * Holds: a body is buffered only where no hash was announced; signed chunks are signed anew as they flow (signed-chunks.ts), every
 *   other mode passes it on untouched.
 * Fails: `signing_unsupported` (signed events, contradictions), `request_body_too_large`.
 * Source: S3 API, sigv4-auth-using-authorization-header, sigv4-streaming-trailers.
 * Not here: checking the body against the hash; AWS does.
 */
import { hash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import type { HeaderList } from '../../core/headers.ts';
import { type Body, bodyOf, collectBody, EMPTY_BODY, type Framing, type RequestHead } from '../../core/message.ts';
import { EMPTY_HASH } from './chunk-chain.ts';

export type PayloadMode =
  | 'signed-payload'
  | 'buffered-payload'
  | 'unsigned-payload'
  | 'streaming-signed-payload'
  | 'streaming-signed-payload-trailer'
  | 'streaming-unsigned-payload-trailer';

export interface Payload {
  readonly mode: PayloadMode;
  /** Last line of the canonical request. */
  readonly hash: string;
  readonly body: Body;
  readonly framing: Framing;
}

export interface PayloadRequest {
  readonly head: RequestHead;
  readonly body: Body;
  /** Lets a client that waits send its body. */
  continue(): void;
}

const HEX_HASH = /^[0-9a-f]{64}$/;

const unsupported = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });

/** Null where nothing is announced. @throws EgressError `signing_unsupported`. */
export function announcedMode(headers: HeaderList): { readonly mode: PayloadMode; readonly hash: string } | null {
  const [announced, another] = headers.getAll('x-amz-content-sha256');
  if (announced === undefined) return null;
  if (another !== undefined) throw unsupported('X-Amz-Content-Sha256 is repeated');
  if (HEX_HASH.test(announced)) return { mode: 'signed-payload', hash: announced };
  if (announced === 'UNSIGNED-PAYLOAD') {
    if (isAwsChunked(headers)) throw unsupported('aws-chunked cannot be combined with UNSIGNED-PAYLOAD');
    return { mode: 'unsigned-payload', hash: announced };
  }
  if (announced === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    return { mode: 'streaming-unsigned-payload-trailer', hash: announced };
  if (announced === 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD') return { mode: 'streaming-signed-payload', hash: announced };
  if (announced === 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER')
    return { mode: 'streaming-signed-payload-trailer', hash: announced };
  throw unsupported(otherMode(announced));
}

function otherMode(announced: string): string {
  if (/^STREAMING-AWS4-HMAC-SHA256-EVENTS$/.test(announced)) return 'signed event streams are not supported';
  if (/^STREAMING-AWS4-ECDSA-/.test(announced)) return 'SigV4A chunk signatures are not supported';
  return 'X-Amz-Content-Sha256 is neither a SHA-256 in lower-case hex nor a mode that can be signed again';
}

const LENGTH = /^(?:0|[1-9][0-9]{0,15})$/;

/** What signed chunks must hold together. @throws EgressError `signing_unsupported` where it is not said. */
export function decodedLength(headers: HeaderList): number {
  const [given, another] = headers.getAll('x-amz-decoded-content-length');
  if (given === undefined || another !== undefined || !LENGTH.test(given))
    throw unsupported('signed chunks need one X-Amz-Decoded-Content-Length');
  return Number(given);
}

const isAwsChunked = (headers: HeaderList): boolean =>
  headers.getAll('content-encoding').some((value) => value.toLowerCase().includes('aws-chunked'));

/** At once where nothing must be read. @throws EgressError `signing_unsupported`, `request_body_too_large`, and what reading the body throws. */
export function readPayload(request: PayloadRequest, maxBufferedBodyBytes: number): Payload | Promise<Payload> {
  const { head, body } = request;
  const announced = announcedMode(head.headers);
  if (announced !== null) return { ...announced, body, framing: head.framing };
  const isEmpty = head.framing.kind === 'none' || (head.framing.kind === 'length' && head.framing.length === 0);
  if (isEmpty) return { mode: 'signed-payload', hash: EMPTY_HASH, body: EMPTY_BODY, framing: head.framing };
  if ((body.length ?? 0) > maxBufferedBodyBytes) throw tooLarge(maxBufferedBodyBytes);
  return bufferPayload(request, maxBufferedBodyBytes);
}

async function bufferPayload(request: PayloadRequest, maxBufferedBodyBytes: number): Promise<Payload> {
  const { body } = request;
  request.continue();
  const bytes = await collectBody(body, maxBufferedBodyBytes);
  if (bytes === null) throw tooLarge(maxBufferedBodyBytes);
  const framing: Framing = { kind: 'length', length: bytes.length };
  return { mode: 'buffered-payload', hash: hash('sha256', bytes, 'hex'), body: bodyOf(bytes), framing };
}

const tooLarge = (maxBytes: number): EgressError =>
  new EgressError('request_body_too_large', {
    detail: `without X-Amz-Content-Sha256 a body may have ${maxBytes} bytes`,
  });
