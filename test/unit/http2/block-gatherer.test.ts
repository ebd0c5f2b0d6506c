import { describe, expect, it } from 'vitest';
import { BlockGatherer } from '../../../src/http2/block-gatherer.ts';
import { FLAG, FRAME, type Frame, MAX_FRAME_BYTES } from '../../../src/http2/frames.ts';

/** So many frames of so many bytes, the last of which ends the block. */
function framesOf(count: number, bytes: number): Frame[] {
  return Array.from({ length: count }, (_, i) => ({
    type: i === 0 ? FRAME.HEADERS : FRAME.CONTINUATION,
    flags: i === count - 1 ? FLAG.END_HEADERS : 0,
    stream: 1,
    payload: Buffer.alloc(bytes, i),
  }));
}

function gather(maxHeadBytes: number, frames: readonly Frame[]): number {
  const gatherer = new BlockGatherer({ maxHeadBytes, maxFields: 0 });
  let length = 0;
  for (const frame of frames) length = gatherer.take(frame)?.bytes.length ?? length;
  return length;
}

describe('a header block', () => {
  it('may have as many bytes as the limit, whichever that is, in full frames', () => {
    for (const frames of [1, 4, 64]) {
      const bytes = frames * MAX_FRAME_BYTES;
      expect(gather(bytes, framesOf(frames, MAX_FRAME_BYTES))).toBe(bytes);
      expect(() => gather(bytes - 1, framesOf(frames, MAX_FRAME_BYTES))).toThrow(/ENHANCE_YOUR_CALM/);
    }
  });

  it('may come in some pieces, but not in crumbs', () => {
    expect(gather(16_384, framesOf(32, 1))).toBe(32);
    expect(() => gather(16_384, framesOf(34, 1))).toThrow(/ENHANCE_YOUR_CALM/);
    expect(() => gather(2 ** 20, framesOf(200, 1))).toThrow(/ENHANCE_YOUR_CALM/);
  });
});
