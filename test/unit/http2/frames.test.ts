import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pingFrame, settingsFrame, windowFrame } from '../../../src/http2/frame-writer.ts';
import { FrameReader, PREFACE } from '../../../src/http2/frames.ts';
import { Outbox } from '../../../src/http2/outbox.ts';

function readAll(bytes: Buffer, cuts: readonly number[]): string[] {
  const reader = new FrameReader(true);
  const seen: string[] = [];
  let start = 0;
  for (const cut of [...cuts, bytes.length]) {
    reader.push(bytes.subarray(start, cut));
    start = cut;
    for (let frame = reader.pull(); frame !== null; frame = reader.pull())
      seen.push(`${frame.type} ${frame.flags} ${frame.stream} ${frame.payload.toString('hex')}`);
  }
  return seen;
}

describe('the frame reader', () => {
  const wire = Buffer.concat([
    PREFACE,
    settingsFrame([[4, 70_000]]),
    pingFrame(Buffer.from('12345678'), true),
    windowFrame(3, 9),
  ]);
  const frames = ['4 0 0 000400011170', '6 1 0 3132333435363738', '8 0 3 00000009'];

  it('gives the same frames whatever the cuts', () => {
    expect(readAll(wire, [])).toEqual(frames);
    const cut = fc.array(fc.nat(wire.length), { maxLength: 20 }).map((cuts) => cuts.sort((a, b) => a - b));
    fc.assert(
      fc.property(cut, (cuts) => {
        expect(readAll(wire, cuts)).toEqual(frames);
      }),
    );
  });

  it('tells another protocol by its first bytes', () => {
    const reader = new FrameReader(true);
    reader.push(Buffer.from('G'));
    expect(() => reader.pull()).toThrow(/PROTOCOL_ERROR/);
  });

  it('waits for no frame that is larger than we said', () => {
    const reader = new FrameReader(false);
    reader.push(Buffer.from('004001000000000001', 'hex'));
    expect(() => reader.pull()).toThrow(/FRAME_SIZE_ERROR/);
  });
});

describe('the outbox', () => {
  it('joins what waits, and zeroes the parts of a secret', () => {
    const outbox = new Outbox();
    const block = Buffer.from('sk-secret');
    outbox.put(Buffer.from('a'));
    outbox.putSecret([Buffer.from('h'), block.subarray(0, 4), Buffer.from('c'), block.subarray(4)], block);
    outbox.put(Buffer.from('z'));
    expect(outbox.length).toBe(13);
    const piece = outbox.take();
    expect(piece?.bytes.toString()).toBe('ahsk-scecretz');
    expect(piece?.isSecret).toBe(true);
    expect(block.every((byte) => byte === 0)).toBe(true);
    expect(outbox.take()).toBeNull();
    outbox.put(Buffer.from('b'));
    expect(outbox.take()?.isSecret).toBe(false);
  });

  it('zeroes a secret that is never written', () => {
    const outbox = new Outbox();
    const block = Buffer.from('sk-secret');
    outbox.putSecret([block], block);
    outbox.discard();
    expect(block.every((byte) => byte === 0)).toBe(true);
    expect(outbox.length).toBe(0);
  });
});
