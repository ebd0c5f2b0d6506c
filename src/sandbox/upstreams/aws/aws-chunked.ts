/**
 * Duty: takes the aws-chunked envelope off a whole body.
 * In → Out: bytes → chunks with their signatures, and trailer fields; null where the envelope is malformed.
 * Holds: chunks are windows on the body. Wire: `5;chunk-signature=<hex>\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n`.
 * Source: Amazon S3 API Reference, sigv4-streaming and sigv4-streaming-trailers.
 * Not here: whether signatures and checksums are right (payload.ts).
 */

export interface AwsChunk {
  readonly bytes: Buffer;
  /** Null where the chunk is not signed. */
  readonly signature: string | null;
}

export interface AwsChunked {
  /** The last one is empty. */
  readonly chunks: readonly AwsChunk[];
  /** In order, names lower case. */
  readonly trailers: readonly { readonly name: string; readonly value: string }[];
}

const CHUNK_HEAD = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/;
const TRAILER = /^([A-Za-z0-9-]{1,64}):\s*([!-~]{0,1024})\s*$/;
const MAX_TRAILERS = 16;

export function decodeAwsChunked(body: Buffer): AwsChunked | null {
  const chunks: AwsChunk[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf('\r\n', at);
    if (end === -1 || end - at > 128) return null;
    const head = CHUNK_HEAD.exec(body.toString('latin1', at, end));
    if (head?.[1] === undefined) return null;
    const length = Number.parseInt(head[1], 16);
    const start = end + 2;
    const bytes = body.subarray(start, start + length);
    if (bytes.length !== length) return null;
    chunks.push({ bytes, signature: head[2] ?? null });
    at = start + length;
    if (length === 0) break;
    if (body.toString('latin1', at, at + 2) !== '\r\n') return null;
    at += 2;
  }
  const trailers = trailersOf(body.toString('latin1', at));
  return trailers === null ? null : { chunks, trailers };
}

/** `text`: what follows the line of the last chunk; it ends with an empty line, once or, with some SDKs, twice. */
function trailersOf(text: string): AwsChunked['trailers'] | null {
  if (!text.endsWith('\r\n') || text.length > 16_384) return null;
  const trailers: { name: string; value: string }[] = [];
  for (const line of text.split('\r\n')) {
    if (line === '') continue;
    const field = TRAILER.exec(line);
    if (field?.[1] === undefined || trailers.length >= MAX_TRAILERS) return null;
    trailers.push({ name: field[1].toLowerCase(), value: field[2] ?? '' });
  }
  return trailers;
}
