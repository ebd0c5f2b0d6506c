/**
 * Duty: verifies the chunk signatures of a client and puts its own in their places, and so with the trailer's.
 * In → Out: aws-chunked bytes in any cut → the same bytes but for the digits of the signatures.
 * Holds: no byte of a chunk leaves before the chunk verified; one chunk is held, and no more than the limit. The last chunk
 *   leaves only when all of the body is here and is as long as was signed, so that nothing incomplete looks complete.
 * Fails: `client_signature_invalid`, `request_malformed`, `request_body_too_large`, `secret_destroyed`.
 * Source: S3 API, sigv4-streaming, sigv4-streaming-trailers; `*` behind an ECDSA signature: aws-c-auth.
 *   Wire: `400;chunk-signature=<64 hex>\r\n<1024 bytes>\r\n0;chunk-signature=<64 hex>\r\n\r\n`.
 * Not here: checksums in the trailer, which S3 computes.
 */
import { hash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import type { Chain } from './chain.ts';
import type { Rewriter } from './resigned-body.ts';
import { isRegional } from './scope-text.ts';
import { ECDSA_SIGNATURE, HMAC_SIGNATURE } from './signing-keys.ts';

export interface ChunkLimits {
  readonly maxChunkBytes: number;
}

/** What the head has signed about the body. */
export interface ChunkedStream {
  /** X-Amz-Decoded-Content-Length, in `bytes`. */
  readonly decodedLength: number;
  readonly hasTrailer: boolean;
}

const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const NOTHING = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n', 'latin1');
const LF = 0x0a;
/** A size of eight digits and the longest signature. */
const MAX_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 16 * 1024;
const CHUNK_LINE = /^([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f*]{64,144})\r\n$/;
const PADDED_LENGTH = 144;
const NO_TRAILER = /^(?:\r?\n){1,2}$/;
const TRAILER_FIELD = /^([A-Za-z0-9-]{1,64}):[ \t]*([!-~](?:[ -~]*[!-~])?|)[ \t]*$/;
const TRAILER_SIGNATURE = /^x-amz-trailer-signature:[ \t]*([0-9a-f*]{64,144})$/i;

const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });
const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });

interface Chunk {
  /** As the client wrote it, for the line to keep its length. */
  readonly sizeText: string;
  readonly signature: string;
  /** Line, data, end of line: as long as all three, the line still to be written. */
  readonly frame: Buffer;
  readonly dataStart: number;
}

export class SignedChunks implements Rewriter {
  readonly #client: Chain;
  readonly #own: Chain;
  readonly #stream: ChunkedStream;
  readonly #maxChunkBytes: number;
  /** A line that is not whole, or the trailer. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The chunk that is being filled; null: its line is not whole yet. */
  #chunk: Chunk | null = null;
  #filled = 0;
  #decoded = 0;
  /** Line of the last chunk, signed anew; all behind it is the trailer. */
  #last: Buffer | null = null;

  constructor(client: Chain, own: Chain, stream: ChunkedStream, { maxChunkBytes }: ChunkLimits) {
    this.#client = client;
    this.#own = own;
    this.#stream = stream;
    this.#maxChunkBytes = maxChunkBytes;
  }

  push(bytes: Buffer): Buffer {
    const out: Buffer[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#last !== null) rest = this.#holdTrailer(rest);
      else if (this.#chunk === null) rest = this.#readLine(rest);
      else rest = this.#readData(this.#chunk, rest, out);
    }
    return out.length === 1 ? (out[0] ?? NOTHING) : Buffer.concat(out);
  }

  finish(): Buffer {
    if (this.#last === null) throw malformed('the body ends before its last chunk');
    const tail = this.#taken();
    if (this.#stream.hasTrailer) return Buffer.concat([this.#last, this.#signedTrailer(tail)]);
    if (!NO_TRAILER.test(tail.toString('latin1'))) throw malformed('something follows the last chunk');
    return Buffer.concat([this.#last, tail]);
  }

  #readLine(bytes: Buffer): Buffer {
    const end = bytes.indexOf(LF);
    this.#hold(end === -1 ? bytes : bytes.subarray(0, end + 1), MAX_LINE_BYTES, 'the line of a chunk is too long');
    if (end === -1) return NOTHING;
    const line = this.#taken().toString('latin1');
    const [, sizeText = '', padded = ''] = CHUNK_LINE.exec(line) ?? [];
    if (sizeText === '') throw malformed('the line of a chunk has no size and signature');
    const size = Number.parseInt(sizeText, 16);
    this.#count(size);
    const frame = Buffer.allocUnsafeSlow(line.length + (size === 0 ? 0 : size + CRLF.length));
    const chunk = { sizeText, signature: this.#bare(padded), frame, dataStart: line.length };
    this.#filled = line.length;
    if (size === 0) this.#last = this.#signed(chunk, EMPTY_HASH);
    else this.#chunk = chunk;
    return bytes.subarray(end + 1);
  }

  #count(size: number): void {
    if (size > this.#maxChunkBytes) {
      const detail = `a signed chunk has ${size} bytes and may have ${this.#maxChunkBytes}`;
      throw new EgressError('request_body_too_large', { detail });
    }
    this.#decoded += size;
    const { decodedLength } = this.#stream;
    if (this.#decoded > decodedLength || (size === 0 && this.#decoded < decodedLength))
      throw malformed(`the chunks do not have the ${decodedLength} bytes of X-Amz-Decoded-Content-Length`);
  }

  #readData(chunk: Chunk, bytes: Buffer, out: Buffer[]): Buffer {
    const { frame, dataStart } = chunk;
    const copied = bytes.copy(frame, this.#filled);
    this.#filled += copied;
    if (this.#filled < frame.length) return NOTHING;
    const dataEnd = frame.length - CRLF.length;
    if (frame.compare(CRLF, 0, CRLF.length, dataEnd) !== 0) throw malformed('a chunk is longer than it says');
    out.push(this.#signed(chunk, hash('sha256', frame.subarray(dataStart, dataEnd), 'hex')));
    this.#chunk = null;
    return bytes.subarray(copied);
  }

  #holdTrailer(bytes: Buffer): Buffer {
    this.#hold(bytes, MAX_TRAILER_BYTES, 'the trailer is too long');
    return NOTHING;
  }

  /** The frame with its line in it. */
  #signed({ sizeText, signature, frame }: Chunk, dataHash: string): Buffer {
    const hashes = `${EMPTY_HASH}\n${dataHash}`;
    if (!this.#client.verify('PAYLOAD', hashes, signature)) throw invalid('the signature of a chunk does not match');
    frame.write(`${sizeText};chunk-signature=${this.#padded(this.#own.sign('PAYLOAD', hashes))}\r\n`, 'latin1');
    return frame;
  }

  /** With the client's own line ends: some SDKs end a field with `\n\r\n`. */
  #signedTrailer(tail: Buffer): Buffer {
    const lines = tail
      .toString('latin1')
      .split('\n')
      .map((line) => line.replace(/\r$/, ''))
      .filter((line) => line !== '');
    const padded = TRAILER_SIGNATURE.exec(lines.pop() ?? '')?.[1];
    if (padded === undefined || tail[tail.length - 1] !== LF)
      throw malformed('the trailer does not end in its signature');
    const digest = hash('sha256', canonicalTrailer(lines), 'hex');
    if (!this.#client.verify('TRAILER', digest, this.#bare(padded)))
      throw invalid('the signature of the trailer does not match');
    // The bytes of the client may be wanted once more.
    const signed = Buffer.from(tail);
    signed.write(this.#padded(this.#own.sign('TRAILER', digest)), tail.lastIndexOf(padded), 'latin1');
    return signed;
  }

  /** Without the padding; well-formed. */
  #bare(padded: string): string {
    if (isRegional(this.#client.seed.scope)) {
      if (HMAC_SIGNATURE.test(padded)) return padded;
    } else {
      const signature = padded.replace(/\*+$/, '');
      if (padded.length === PADDED_LENGTH && ECDSA_SIGNATURE.test(signature)) return signature;
    }
    throw malformed('the signature of a chunk or of the trailer is malformed');
  }

  /** As long as the client's. */
  #padded(signature: string): string {
    return isRegional(this.#own.seed.scope) ? signature : signature.padEnd(PADDED_LENGTH, '*');
  }

  #hold(bytes: Buffer, maxBytes: number, tooMuch: string): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > maxBytes) throw malformed(tooMuch);
    this.#held.push(bytes);
  }

  #taken(): Buffer {
    const taken = this.#held.length === 1 ? (this.#held[0] ?? NOTHING) : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return taken;
  }
}

/** `name:value\n` each, in the order of the names. */
function canonicalTrailer(lines: readonly string[]): string {
  const fields = lines.map((line) => {
    const [, name, value = ''] = TRAILER_FIELD.exec(line) ?? [];
    if (name === undefined) throw malformed('a field of the trailer is malformed');
    return `${name.toLowerCase()}:${value}\n`;
  });
  return fields.sort().join('');
}
