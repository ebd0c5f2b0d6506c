/**
 * Duty: HEADERS and its CONTINUATIONs → one header block.
 * Holds: a block has a limit in bytes and in frames, whoever sends it; while one is gathered nothing else may come.
 * Fails: `ENHANCE_YOUR_CALM`, `PROTOCOL_ERROR`.
 * Source: RFC 9113 §4.3, §6.2, §6.10; CVE-2024-27316.
 * Not here: what is in it (hpack-decoder.ts).
 */
import { ConnectionFault } from './faults.ts';
import { FLAG, FRAME, type Frame, MAX_FRAME_BYTES, withoutPadding } from './frames.ts';
import type { ListLimits } from './hpack-decoder.ts';

export interface HeaderBlock {
  readonly stream: number;
  readonly bytes: Buffer;
  readonly endsStream: boolean;
  /** The stream says that it depends on itself. */
  readonly dependsOnItself: boolean;
}

const PRIORITY_BYTES = 5;
/** Beside those that a block of the greatest length fills. */
const SPARE_FRAMES = 32;
/** What a literal of HPACK takes beside name and value. */
const MAX_OVERHEAD_BYTES = 8;

export class BlockGatherer {
  readonly #maxBytes: number;
  readonly #maxFrames: number;
  #parts: Buffer[] = [];
  #length = 0;
  #first: Omit<HeaderBlock, 'bytes'> | null = null;

  constructor(limits: ListLimits) {
    this.#maxBytes = limits.maxHeadBytes + limits.maxFields * MAX_OVERHEAD_BYTES;
    this.#maxFrames = SPARE_FRAMES + Math.floor(this.#maxBytes / MAX_FRAME_BYTES);
  }

  /** A block has begun and not ended. */
  get isGathering(): boolean {
    return this.#first !== null;
  }

  /** The block where it is whole. @throws ConnectionFault */
  take(frame: Frame): HeaderBlock | null {
    const isContinuation = frame.type === FRAME.CONTINUATION;
    if (isContinuation !== (this.#first !== null) || (isContinuation && frame.stream !== this.#first?.stream))
      throw new ConnectionFault('PROTOCOL_ERROR', 'a header block that is not continued, or a continuation of none');
    const fragment = isContinuation ? frame.payload : this.#begin(frame);
    this.#length += fragment.length;
    this.#parts.push(fragment);
    if (this.#length > this.#maxBytes || this.#parts.length > this.#maxFrames)
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'a header block with more bytes or frames than the limit');
    const first = this.#first;
    if ((frame.flags & FLAG.END_HEADERS) === 0 || first === null) return null;
    const [only] = this.#parts;
    const bytes = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    this.#first = null;
    return { ...first, bytes };
  }

  #begin(frame: Frame): Buffer {
    const { stream, flags } = frame;
    let fragment = withoutPadding(frame);
    let dependsOnItself = false;
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (fragment.length < PRIORITY_BYTES)
        throw new ConnectionFault('FRAME_SIZE_ERROR', 'HEADERS cut in its priority');
      dependsOnItself = (fragment.readUInt32BE(0) & 0x7fff_ffff) === stream;
      fragment = fragment.subarray(PRIORITY_BYTES);
    }
    this.#first = { stream, endsStream: (flags & FLAG.END_STREAM) !== 0, dependsOnItself };
    return fragment;
  }
}
