/**
 * Duty: bytes in the cuts in which they arrived → whole frames.
 * Holds: no frame larger than we said is waited for; a frame that arrived whole is a slice of what was pushed, one that came in
 *   pieces is gathered in a buffer of its own, so no cut makes it larger.
 * Fails: `FRAME_SIZE_ERROR`, `PROTOCOL_ERROR` for what is no preface.
 * Source: RFC 9113 §3.4, §4.1, §4.2.
 * Not here: what a frame means (machine.ts); frames that we write (frame-writer.ts).
 */
import { ConnectionFault } from './faults.ts';

export const FRAME = Object.freeze({
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
});

export const FLAG = Object.freeze({ ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 });

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const HEADER_BYTES = 9;
/** The smallest that may be announced, and enough. */
export const MAX_FRAME_BYTES = 16_384;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

interface Header {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

export class FrameReader {
  /** Not taken yet; never more than one push and the beginning of a frame. */
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** What arrived of something that needs more. */
  #partial: Buffer | null = null;
  #partialLength = 0;
  #header: Header | null = null;
  #awaitsPreface: boolean;

  /** `awaitsPreface`: 24 fixed bytes come before the first frame. */
  constructor(awaitsPreface: boolean) {
    this.#awaitsPreface = awaitsPreface;
  }

  /** Something has begun and not ended. */
  get isWithinFrame(): boolean {
    return this.#header !== null || this.#partialLength > 0;
  }

  /** All of what was pushed before must have been pulled. */
  push(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  /** Null where more bytes are needed. @throws ConnectionFault */
  pull(): Frame | null {
    if (this.#awaitsPreface && !this.#takePreface()) return null;
    if (this.#header === null) {
      const bytes = this.#take(HEADER_BYTES);
      if (bytes === null) return null;
      this.#header = headerIn(bytes);
    }
    const { length, type, flags, stream } = this.#header;
    const payload = this.#take(length);
    if (payload === null) return null;
    this.#header = null;
    return { type, flags, stream, payload };
  }

  #takePreface(): boolean {
    // Compared as far as it is here: other protocols are told apart by their first byte.
    const known = this.#partialLength;
    const length = Math.min(PREFACE.length - known, this.#bytes.length - this.#at);
    if (PREFACE.compare(this.#bytes, this.#at, this.#at + length, known, known + length) !== 0)
      throw new ConnectionFault('PROTOCOL_ERROR', 'what begins the connection is not the preface of HTTP/2');
    if (this.#take(PREFACE.length) === null) return false;
    this.#awaitsPreface = false;
    return true;
  }

  /** Exactly so many, or null and what is here is kept. */
  #take(length: number): Buffer | null {
    const here = this.#bytes.length - this.#at;
    if (this.#partial === null && here >= length) {
      this.#at += length;
      return this.#bytes.subarray(this.#at - length, this.#at);
    }
    this.#partial ??= Buffer.allocUnsafeSlow(length);
    const more = Math.min(here, length - this.#partialLength);
    this.#bytes.copy(this.#partial, this.#partialLength, this.#at, this.#at + more);
    this.#at += more;
    this.#partialLength += more;
    if (this.#partialLength < length) return null;
    const whole = this.#partial;
    this.#partial = null;
    this.#partialLength = 0;
    return whole;
  }
}

function headerIn(bytes: Buffer): Header {
  const length = bytes.readUIntBE(0, 3);
  if (length > MAX_FRAME_BYTES) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a frame larger than we said');
  return {
    length,
    type: bytes[3] as number,
    flags: bytes[4] as number,
    stream: bytes.readUInt32BE(5) & 0x7fff_ffff,
  };
}

/** The payload of DATA and HEADERS without its padding. @throws ConnectionFault */
export function withoutPadding({ flags, payload }: Frame): Buffer {
  if ((flags & FLAG.PADDED) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a padded frame without its length');
  if (padding >= payload.length) throw new ConnectionFault('PROTOCOL_ERROR', 'more padding than frame');
  return payload.subarray(1, payload.length - padding);
}
