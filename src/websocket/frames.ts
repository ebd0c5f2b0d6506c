/**
 * Duty: the frames of a WebSocket as they flow by, in one direction.
 * In → Out: bytes in any cut → heads of frames and runs of their payload, in order, every byte once.
 * Holds: no extension was negotiated, so a reserved bit is an error; a client's frames are masked and a server's are not;
 *   nothing is buffered but a head that has not come whole; after a Close frame comes nothing.
 * Fails: the code that it was given.
 * Source: RFC 6455 §5.
 * Not here: the handshake (handshake.ts); what is in the payload.
 */
import { EgressError, type ErrorCode } from '../core/errors.ts';

export const OPCODES = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

export interface Frame {
  readonly isFinal: boolean;
  readonly opcode: number;
  /** Of the payload, in `bytes`. */
  readonly length: number;
  /** Four bytes; null: not masked. */
  readonly mask: Buffer | null;
}

/** `frame` is the one that the bytes belong to; `isLast`: they are its last. */
export interface Piece {
  readonly kind: 'head' | 'payload';
  readonly frame: Frame;
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

const MAX_HEAD_BYTES = 14;
const MAX_CONTROL_BYTES = 125;

export const isControl = (frame: Frame): boolean => frame.opcode >= OPCODES.close;

export class FrameScanner {
  readonly #isMasked: boolean;
  readonly #fault: ErrorCode;
  /** A head that has not come whole. */
  #head = Buffer.alloc(0);
  #frame: Frame | null = null;
  #left = 0;
  #isInMessage = false;
  #isClosed = false;
  #count = 0;

  /** `isMasked`: what comes is from a client. `fault`: what it is called when the bytes are no frames. */
  constructor(isMasked: boolean, fault: ErrorCode) {
    this.#isMasked = isMasked;
    this.#fault = fault;
  }

  /** Heads of frames that have come so far. */
  get count(): number {
    return this.#count;
  }

  /** The last frame is whole, and nothing of the next one is here. */
  get isBetweenFrames(): boolean {
    return this.#frame === null && this.#head.length === 0;
  }

  /** The bytes belong to the pieces from here on. @throws EgressError */
  scan(bytes: Buffer): Piece[] {
    const pieces: Piece[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#frame === null) rest = this.#takeHead(rest, pieces);
      else rest = this.#takePayload(this.#frame, rest, pieces);
    }
    return pieces;
  }

  #takeHead(bytes: Buffer, pieces: Piece[]): Buffer {
    if (this.#isClosed) throw this.#wrong('bytes behind a Close frame');
    const known = this.#head.length;
    const all = known === 0 ? bytes : Buffer.concat([this.#head, bytes.subarray(0, MAX_HEAD_BYTES)]);
    const length = headLength(all);
    if (length === 0 || all.length < length) {
      this.#head = Buffer.from(all);
      return all.subarray(all.length);
    }
    this.#head = Buffer.alloc(0);
    const head = all.subarray(0, length);
    const frame = this.#read(head);
    this.#count += 1;
    this.#left = frame.length;
    this.#frame = frame.length === 0 ? null : frame;
    pieces.push({ kind: 'head', frame, bytes: head, isLast: frame.length === 0 });
    return bytes.subarray(length - known);
  }

  #takePayload(frame: Frame, bytes: Buffer, pieces: Piece[]): Buffer {
    const run = bytes.subarray(0, this.#left);
    this.#left -= run.length;
    if (this.#left === 0) this.#frame = null;
    pieces.push({ kind: 'payload', frame, bytes: run, isLast: this.#left === 0 });
    return bytes.subarray(run.length);
  }

  #read(head: Buffer): Frame {
    const first = head[0] as number;
    const opcode = first & 0x0f;
    const isFinal = (first & 0x80) !== 0;
    const isMasked = ((head[1] as number) & 0x80) !== 0;
    if ((first & 0x70) !== 0) throw this.#wrong('a reserved bit without an extension');
    if (isMasked !== this.#isMasked)
      throw this.#wrong(isMasked ? 'a masked frame of a server' : 'an unmasked frame of a client');
    const frame = { isFinal, opcode, length: this.#payloadLength(head), mask: isMasked ? head.subarray(-4) : null };
    if (isControl(frame)) this.#checkControl(frame);
    else this.#checkData(frame);
    return frame;
  }

  #payloadLength(head: Buffer): number {
    const short = (head[1] as number) & 0x7f;
    if (short < 126) return short;
    const length = short === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    const isMinimal = short === 126 ? length > 125 : length > 0xffff;
    if (!isMinimal || !Number.isSafeInteger(length)) throw this.#wrong('a length that is not spelled as it must be');
    return length;
  }

  #checkControl({ opcode, isFinal, length }: Frame): void {
    if (opcode > OPCODES.pong || !isFinal || length > MAX_CONTROL_BYTES) throw this.#wrong('a malformed control frame');
    this.#isClosed = opcode === OPCODES.close;
  }

  #checkData({ opcode, isFinal }: Frame): void {
    if (opcode > OPCODES.binary) throw this.#wrong('an unknown opcode');
    if ((opcode === OPCODES.continuation) !== this.#isInMessage) throw this.#wrong('fragments out of order');
    this.#isInMessage = !isFinal;
  }

  #wrong(detail: string): EgressError {
    return new EgressError(this.#fault, { detail: `WebSocket: ${detail}` });
  }
}

/** 0 where even that cannot be told yet. */
function headLength(bytes: Buffer): number {
  const second = bytes[1];
  if (second === undefined) return 0;
  const short = second & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
}

/** A Close frame of a server. `reason` is ASCII of at most 123 characters. */
export function closeFrame(code: number, reason: string): Buffer {
  const frame = Buffer.alloc(4 + reason.length);
  frame[0] = 0x80 | OPCODES.close;
  frame[1] = 2 + reason.length;
  frame.writeUInt16BE(code, 2);
  frame.write(reason, 4, 'latin1');
  return frame;
}
