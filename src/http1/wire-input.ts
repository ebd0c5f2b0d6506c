/**
 * Duty: bytes in the cuts in which they arrived → sections of CRLF lines, single bytes, runs of data.
 * Holds: each byte is looked at once, so no cut makes it quadratic; a section that arrived whole is not copied; nothing
 *   but CRLF ends a line and no line holds a control byte other than HTAB.
 * Fails: the codes of the `CodecFaults` it was given.
 * Source: RFC 9112 §2.2 (bare CR, LF), RFC 9110 §5.5 (CR, LF, NUL in values).
 * Not here: what a line means (field-section.ts, request-line in request-parser.ts).
 */
import { EgressError, type ErrorCode } from '../core/errors.ts';

/** How one direction names what can go wrong. */
export interface CodecFaults {
  readonly malformed: ErrorCode;
  readonly tooLarge: ErrorCode;
  readonly startLineTooLong: ErrorCode;
  readonly trailersTooLarge: ErrorCode;
  /** The peer went away before a head was complete, and within a body. */
  readonly cutInHead: ErrorCode;
  readonly cutInBody: ErrorCode;
}

/** Lines without their CRLF: line `i` begins where line `i - 1` ended + 2 (line 0 at 0) and ends at `ends[i]`. */
export interface Section {
  readonly text: string;
  readonly ends: readonly number[];
}

const EMPTY = Buffer.alloc(0);
const CR = 0x0d;
const LF = 0x0a;
/** 0: may stand in a line; 1: CR; 2: anything else, LF included. */
const LINE_BYTE = new Uint8Array(256).map((_, byte) => {
  if (byte === CR) return 1;
  return (byte < 0x20 && byte !== 0x09) || byte === 0x7f ? 2 : 0;
});

export class WireInput {
  readonly #faults: CodecFaults;
  #queue: Buffer[] = [];
  /** Entries before it were taken; taking them out one by one would be quadratic. */
  #queueStart = 0;
  #current: Buffer = EMPTY;
  #position = 0;
  #queued = 0;
  /** The beginning of a section that arrived in pieces. */
  #partial: Buffer = EMPTY;
  #partialLength = 0;
  #ends: number[] = [];
  #afterCr = false;

  constructor(faults: CodecFaults) {
    this.#faults = faults;
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#position === this.#current.length && this.#queue.length === this.#queueStart) {
      this.#current = bytes;
      this.#position = 0;
    } else {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
  }

  get bufferedBytes(): number {
    return this.#partialLength + this.#current.length - this.#position + this.#queued;
  }

  /**
   * Lines up to and without the empty one, or null where more bytes are needed. Call again with the same limits.
   * @throws EgressError
   */
  takeSection(maxBytes: number, maxStartLineBytes: number): Section | null {
    while (this.#fill()) {
      const end = this.#scanChunk(maxBytes, maxStartLineBytes);
      if (end !== -1) return this.#cutSection(end);
      this.#keepPartial();
    }
    return null;
  }

  /** The next byte, or -1. */
  takeByte(): number {
    if (!this.#fill()) return -1;
    const byte = this.#current[this.#position] ?? -1;
    this.#took(this.#position + 1);
    return byte;
  }

  /** Up to `maxBytes` bytes, a slice of what was pushed; null where there are none. */
  takeData(maxBytes: number): Buffer | null {
    if (!this.#fill()) return null;
    const chunk = this.#current;
    const start = this.#position;
    const end = chunk.length - start > maxBytes ? start + maxBytes : chunk.length;
    this.#took(end);
    return start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
  }

  /** Everything that was not taken. */
  takeRest(): Buffer {
    const parts = [
      this.#partial.subarray(0, this.#partialLength),
      this.#current.subarray(this.#position),
      ...this.#queue.slice(this.#queueStart),
    ];
    const filled = parts.filter((part) => part.length > 0);
    this.#partialLength = 0;
    this.#current = EMPTY;
    this.#position = 0;
    this.#queue = [];
    this.#queueStart = 0;
    this.#queued = 0;
    return filled.length === 1 && filled[0] !== undefined ? filled[0] : Buffer.concat(filled);
  }

  #fill(): boolean {
    if (this.#position < this.#current.length) return true;
    const next = this.#queue[this.#queueStart];
    if (next === undefined) return false;
    this.#queueStart++;
    if (this.#queueStart === this.#queue.length) {
      this.#queue = [];
      this.#queueStart = 0;
    }
    this.#queued -= next.length;
    this.#current = next;
    this.#position = 0;
    return true;
  }

  /** Index behind the section in the current chunk, or -1 where the chunk ended before the section did. */
  #scanChunk(maxBytes: number, maxStartLineBytes: number): number {
    const chunk = this.#current;
    const ends = this.#ends;
    // Offsets count from the section's start: `at + shift`.
    const shift = this.#partialLength - this.#position;
    let at = this.#position;
    let afterCr = this.#afterCr;
    let lineStart = ends.length === 0 ? 0 : (ends[ends.length - 1] ?? 0) + 2;
    let stop = Math.min(chunk.length, (ends.length === 0 ? maxStartLineBytes : maxBytes) - shift);
    for (; at < stop; at++) {
      const byte = chunk[at] as number;
      if (!afterCr) {
        const kind = LINE_BYTE[byte];
        if (kind === 0) continue;
        if (kind === 2) throw this.#malformed(byte === LF ? 'a line ends in a bare LF' : 'a control byte in the head');
        afterCr = true;
        continue;
      }
      if (byte !== LF) throw this.#malformed('a bare CR');
      afterCr = false;
      const lineEnd = at + shift - 1;
      if (lineEnd === lineStart) return at + 1;
      ends.push(lineEnd);
      lineStart = lineEnd + 2;
      if (ends.length === 1) stop = Math.min(chunk.length, maxBytes - shift);
    }
    this.#afterCr = afterCr;
    if (at + shift >= (ends.length === 0 ? maxStartLineBytes : maxBytes))
      throw this.#tooLong(ends.length === 0 && maxStartLineBytes < maxBytes);
    return -1;
  }

  #cutSection(end: number): Section {
    const ends = this.#ends;
    const length = (ends[ends.length - 1] ?? -2) + 2;
    let text: string;
    if (this.#partialLength === 0) {
      text = this.#current.toString('latin1', this.#position, this.#position + length);
    } else {
      this.#append(end);
      text = this.#partial.toString('latin1', 0, length);
      // Fields may hold credentials: the copy goes as soon as it was read.
      this.#partial.fill(0);
      this.#partial = EMPTY;
      this.#partialLength = 0;
    }
    this.#took(end);
    this.#ends = [];
    this.#afterCr = false;
    return { text, ends };
  }

  #keepPartial(): void {
    this.#append(this.#current.length);
    this.#took(this.#current.length);
  }

  /** A chunk is let go with its last byte: a few bytes of it would keep the 64 KiB alive into which TLS had read them. */
  #took(position: number): void {
    const isSpent = position === this.#current.length;
    this.#position = isSpent ? 0 : position;
    if (isSpent) this.#current = EMPTY;
  }

  #append(end: number): void {
    const needed = this.#partialLength + end - this.#position;
    if (needed > this.#partial.length) {
      const grown = Buffer.alloc(Math.max(512, 2 * this.#partial.length, needed));
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial.fill(0);
      this.#partial = grown;
    }
    this.#current.copy(this.#partial, this.#partialLength, this.#position, end);
    this.#partialLength = needed;
  }

  #malformed(detail: string): EgressError {
    return new EgressError(this.#faults.malformed, { detail });
  }

  #tooLong(startLine: boolean): EgressError {
    if (startLine) return new EgressError(this.#faults.startLineTooLong, { detail: 'the start line is too long' });
    return new EgressError(this.#faults.tooLarge, { detail: 'head or trailers have more bytes than the limit' });
  }
}
