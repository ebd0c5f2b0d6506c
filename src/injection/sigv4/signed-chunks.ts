/**
 * Duty: an aws-chunked body whose chunks are signed: each signature is checked with the placeholder and made anew.
 * In → Out: Body → Body of the same length, in which nothing but signatures differs.
 * Holds: a chunk leaves only when it is whole and its signature verified; the last one only when nothing stands behind it and
 *   as much data has come as was announced. One chunk is held.
 *   Wire: `400;chunk-signature=<64 hex>\r\n<1,024 bytes>\r\n0;chunk-signature=<64 hex>\r\n\r\n`, and before the last CRLF with trailers
 *   `x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:<64 hex>\r\n`.
 * Fails: `client_signature_invalid`, `request_malformed`, `request_body_too_large`; what the source throws.
 * Source: S3 API, sigv4-streaming, sigv4-streaming-trailers.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { EgressError, toEgressError } from '../../core/errors.ts';
import type { Body } from '../../core/message.ts';
import { type ChunkChain, EMPTY_HASH } from './chunk-chain.ts';

export interface SignedChunksParts {
  /** As the client signed. */
  readonly received: ChunkChain;
  /** As it is sent on. */
  readonly sent: ChunkChain;
  readonly hasTrailer: boolean;
  /** `X-Amz-Decoded-Content-Length`: data without framing, in `bytes`. */
  readonly decodedLength: number;
  readonly maxChunkBytes: number;
}

const HEAD = /^([0-9A-Fa-f]{1,8});chunk-signature=([0-9a-f]{64})$/;
/** Size, the word between, signature. */
const MAX_HEAD_BYTES = 8 + 17 + 64;
const SIGNATURE_BYTES = 64;
const MAX_TRAILER_BYTES = 4_096;
const TRAILER_FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):([\x20-\x7e]*)$/;
const TRAILER_SIGNATURE = /^x-amz-trailer-signature:([0-9a-f]{64})$/;
const CRLF = '\r\n';
const CRLF_BYTES = Buffer.from(CRLF, 'latin1');
const NOTHING = Buffer.alloc(0);

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });
const forged = (what: string): EgressError =>
  new EgressError('client_signature_invalid', { detail: `the signature of ${what} does not match` });

export class SignedChunks implements Body {
  readonly length: number | null;
  readonly trailers = null;
  readonly #source: Body;
  readonly #parts: SignedChunksParts;
  /** Arrived and not handed out; joined when as much is there as is needed. */
  #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #neededBytes = 1;
  #decodedBytes = 0;
  /** The end of the body, whole and signed, which waits for the source's own end. */
  #end: Buffer | null = null;
  #isOver = false;
  #failure: EgressError | null = null;

  constructor(source: Body, parts: SignedChunksParts) {
    this.length = source.length;
    this.#source = source;
    this.#parts = parts;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async read(): Promise<Buffer | null> {
    for (;;) {
      const here = this.take();
      if (here !== null) return here;
      if (this.#failure !== null) throw this.#failure;
      if (this.#isOver) return null;
      const more = await this.#source.read();
      if (more !== null) this.#push(more);
      else if (this.#end === null) throw this.#fail(malformed('the body ends within a chunk'));
      else return this.#finish(this.#end);
    }
  }

  take(): Buffer | null {
    if (this.#failure !== null || this.#isOver) return null;
    try {
      for (;;) {
        const chunk = this.#next();
        if (chunk !== null) return chunk;
        if (this.#end !== null && this.#source.isOver) return this.#finish(this.#end);
        const more = this.#source.take();
        if (more === null) return this.#end !== null && this.#source.isOver ? this.#finish(this.#end) : null;
        this.#push(more);
      }
    } catch (thrown) {
      this.#fail(toEgressError(thrown));
      return null;
    }
  }

  cancel(): void {
    this.#source.cancel();
  }

  #fail(error: EgressError): EgressError {
    this.#failure ??= error;
    return this.#failure;
  }

  #push(bytes: Buffer): void {
    this.#arrived.push(bytes);
    this.#arrivedBytes += bytes.length;
  }

  #finish(end: Buffer): Buffer {
    this.#isOver = true;
    return end;
  }

  /** The next chunk, verified and signed anew; null where it is not whole, or the end has come. @throws EgressError */
  #next(): Buffer | null {
    if (this.#end !== null) {
      if (this.#arrivedBytes > 0) throw malformed('something stands behind the last chunk');
      return null;
    }
    if (this.#arrivedBytes < this.#neededBytes) return null;
    const bytes = this.#arrived.length === 1 ? (this.#arrived[0] ?? NOTHING) : Buffer.concat(this.#arrived);
    this.#arrived = [bytes];
    const headEnd = bytes.subarray(0, MAX_HEAD_BYTES + CRLF.length).indexOf(CRLF_BYTES);
    if (headEnd === -1) {
      if (bytes.length >= MAX_HEAD_BYTES + CRLF.length) throw malformed('a chunk of aws-chunked has no head');
      this.#neededBytes = bytes.length + 1;
      return null;
    }
    const [, size = '', signature = ''] = HEAD.exec(bytes.toString('latin1', 0, headEnd)) ?? [];
    if (signature === '') throw malformed('a chunk of aws-chunked has no size and signature');
    const length = Number.parseInt(size, 16);
    if (length > this.#parts.maxChunkBytes)
      throw new EgressError('request_body_too_large', {
        detail: `a signed chunk may have ${this.#parts.maxChunkBytes} bytes`,
      });
    return length === 0 ? this.#last(bytes, headEnd, signature) : this.#chunk(bytes, headEnd, { length, signature });
  }

  #chunk(
    bytes: Buffer,
    headEnd: number,
    { length, signature }: { readonly length: number; readonly signature: string },
  ): Buffer | null {
    const start = headEnd + CRLF.length;
    const end = start + length + CRLF.length;
    if (bytes.length < end) {
      this.#neededBytes = end;
      return null;
    }
    if (!isCrlf(bytes, end - CRLF.length)) throw malformed('a chunk of aws-chunked is longer than it says');
    this.#decodedBytes += length;
    if (this.#decodedBytes > this.#parts.decodedLength) throw malformed(WRONG_LENGTH);
    const dataHash = hash('sha256', bytes.subarray(start, end - CRLF.length), 'hex');
    this.#sign(bytes, headEnd, signature, dataHash);
    return this.#cut(bytes, end);
  }

  /** The chunk without data, and what follows it. */
  #last(bytes: Buffer, headEnd: number, signature: string): null {
    const end = this.#parts.hasTrailer ? this.#trailerEnd(bytes, headEnd) : headEnd + 2 * CRLF.length;
    if (end === null || bytes.length < end) {
      this.#neededBytes = bytes.length + 1;
      return null;
    }
    if (!this.#parts.hasTrailer && !isCrlf(bytes, end - CRLF.length)) throw malformed('trailers were not announced');
    if (this.#decodedBytes !== this.#parts.decodedLength) throw malformed(WRONG_LENGTH);
    this.#sign(bytes, headEnd, signature, EMPTY_HASH);
    if (this.#parts.hasTrailer) this.#signTrailer(bytes, headEnd + CRLF.length, end);
    this.#end = this.#cut(bytes, end);
    if (this.#arrivedBytes > 0) throw malformed('something stands behind the last chunk');
    return null;
  }

  /** Behind the empty line; null where it has not come. */
  #trailerEnd(bytes: Buffer, headEnd: number): number | null {
    const found = bytes.indexOf('\r\n\r\n', headEnd, 'latin1');
    if (found === -1 && bytes.length - headEnd > MAX_TRAILER_BYTES) throw malformed('trailers are too long');
    return found === -1 ? null : found + 2 * CRLF.length;
  }

  #signTrailer(bytes: Buffer, start: number, end: number): void {
    const lines = bytes.toString('latin1', start, end - 2 * CRLF.length).split(CRLF);
    const signature = TRAILER_SIGNATURE.exec(lines.at(-1) ?? '')?.[1];
    if (signature === undefined) throw malformed('trailers do not end in x-amz-trailer-signature');
    const fields = lines.slice(0, -1).map((line) => {
      const [, name = '', value = ''] = TRAILER_FIELD.exec(line) ?? [];
      if (name === '') throw malformed('a trailer of aws-chunked is malformed');
      return `${name.toLowerCase()}:${value.trim()}\n`;
    });
    const fieldsHash = hash('sha256', fields.join(''), 'hex');
    if (!isEqual(this.#parts.received.trailer(fieldsHash), signature)) throw forged('the trailers');
    bytes.write(this.#parts.sent.trailer(fieldsHash), end - 2 * CRLF.length - SIGNATURE_BYTES, 'latin1');
  }

  /** The signature stands at the end of the head. */
  #sign(bytes: Buffer, headEnd: number, signature: string, dataHash: string): void {
    if (!isEqual(this.#parts.received.nextChunk(dataHash), signature)) throw forged('a chunk');
    bytes.write(this.#parts.sent.nextChunk(dataHash), headEnd - SIGNATURE_BYTES, 'latin1');
  }

  #cut(bytes: Buffer, end: number): Buffer {
    const rest = bytes.subarray(end);
    this.#arrived = rest.length === 0 ? [] : [rest];
    this.#arrivedBytes = rest.length;
    this.#neededBytes = 1;
    return rest.length === 0 ? bytes : bytes.subarray(0, end);
  }
}

const WRONG_LENGTH = 'the chunks have another length than X-Amz-Decoded-Content-Length says';

const isCrlf = (bytes: Buffer, at: number): boolean => bytes[at] === 0x0d && bytes[at + 1] === 0x0a;

const isEqual = (expected: string, given: string): boolean =>
  timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(given, 'latin1'));
