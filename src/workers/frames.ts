/**
 * Duty: frames of the private channel between owner and worker.
 * In → Out: kind, topic, id, body → bytes; bytes in any pieces → frames, in order.
 * Holds: what was read is zeroed, for a frame may carry a secret; a frame is bounded.
 * Fails: `internal` for a length that no frame has.
 * Source: `u32 length | u8 kind | u8 topic | u32 id | body`, little-endian; the length counts what stands behind it.
 */
import { EgressError } from '../core/errors.ts';

export const KIND = Object.freeze({ ask: 1, answer: 2, failure: 3, tell: 4 });

export interface Frame {
  readonly kind: number;
  readonly topic: number;
  /** Of the question; 0 for what is only told. */
  readonly id: number;
  /** Valid until the receiver returns; it is zeroed then. */
  readonly body: Buffer;
}

const LENGTH_BYTES = 4;
const FIXED_BYTES = 6;
/** A revision with a thousand files of 1 MiB does not fit, and none was ever near. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;
const INITIAL_BYTES = 64 * 1024;

export function encodeFrame(kind: number, topic: number, id: number, body: Uint8Array | string): Buffer {
  const bodyBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + FIXED_BYTES + bodyBytes);
  frame.writeUInt32LE(FIXED_BYTES + bodyBytes, 0);
  frame[4] = kind;
  frame[5] = topic;
  frame.writeUInt32LE(id, 6);
  if (typeof body === 'string') frame.write(body, LENGTH_BYTES + FIXED_BYTES, 'utf8');
  else frame.set(body, LENGTH_BYTES + FIXED_BYTES);
  return frame;
}

export class FrameReader {
  readonly #take: (frame: Frame) => void;
  #held = Buffer.alloc(INITIAL_BYTES);
  #end = 0;

  constructor(take: (frame: Frame) => void) {
    this.#take = take;
  }

  /** Hands over each whole frame, and zeroes `chunk`. @throws EgressError `internal`. */
  push(chunk: Buffer): void {
    this.#makeRoom(chunk.length);
    chunk.copy(this.#held, this.#end);
    chunk.fill(0);
    this.#end += chunk.length;
    let at = 0;
    while (this.#end - at >= LENGTH_BYTES) {
      const length = this.#held.readUInt32LE(at);
      if (length < FIXED_BYTES || length > MAX_FRAME_BYTES)
        throw new EgressError('internal', { detail: 'a frame of the workers’ channel has an impossible length' });
      const end = at + LENGTH_BYTES + length;
      if (end > this.#end) break;
      this.#take(frameAt(this.#held, at, end));
      at = end;
    }
    if (at === 0) return;
    this.#held.copyWithin(0, at, this.#end);
    this.#held.fill(0, this.#end - at, this.#end);
    this.#end -= at;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#held.length) return;
    const larger = Buffer.alloc(Math.max(needed, 2 * this.#held.length));
    this.#held.copy(larger, 0, 0, this.#end);
    this.#held.fill(0);
    this.#held = larger;
  }
}

function frameAt(bytes: Buffer, at: number, end: number): Frame {
  return {
    kind: bytes[at + 4] ?? 0,
    topic: bytes[at + 5] ?? 0,
    id: bytes.readUInt32LE(at + 6),
    body: bytes.subarray(at + LENGTH_BYTES + FIXED_BYTES, end),
  };
}
