import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameScanner, type Piece } from '../../../src/websocket/frames.ts';
import { acceptOf } from '../../../src/websocket/handshake.ts';
import { frame } from '../../wire/web-socket-peer.ts';

/** Bytes in the cuts that the numbers say. */
function cutUp(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let rest = bytes;
  for (const cut of cuts) {
    pieces.push(Buffer.from(rest.subarray(0, cut)));
    rest = rest.subarray(cut);
  }
  return [...pieces, Buffer.from(rest)].filter((piece) => piece.length > 0);
}

const told = (pieces: readonly Piece[]): string[] =>
  pieces
    .filter(({ kind }) => kind === 'head')
    .map(({ frame: { opcode, isFinal, length } }) => `${opcode} ${isFinal} ${length}`);

describe('a scanner', () => {
  const payload = fc.uint8Array({ maxLength: 70_000, size: 'max' }).map((bytes) => Buffer.from(bytes));
  const message = fc.record({
    opcode: fc.constantFrom(1, 2),
    parts: fc.array(payload, { minLength: 1, maxLength: 3 }),
  });

  it('reads the same frames in any cut, and gives every byte out once', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 4 }),
        fc.boolean(),
        fc.array(fc.nat(2_000)),
        (messages, isMasked, cuts) => {
          const frames = messages.flatMap(({ opcode, parts }) =>
            parts.map((part, i) => frame(i === 0 ? opcode : 0, part, { isMasked, isFinal: i === parts.length - 1 })),
          );
          const bytes = Buffer.concat(frames);
          const whole = new FrameScanner(isMasked, 'internal');
          const expected = whole.scan(Buffer.from(bytes));
          const scanner = new FrameScanner(isMasked, 'internal');
          const pieces = cutUp(bytes, cuts).flatMap((piece) => scanner.scan(piece));
          expect(told(pieces)).toEqual(told(expected));
          expect(pieces.filter(({ isLast }) => isLast)).toHaveLength(frames.length);
          expect(Buffer.concat(pieces.map((piece) => piece.bytes)).equals(bytes)).toBe(true);
          expect(scanner.isBetweenFrames).toBe(true);
          expect(scanner.count).toBe(frames.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('never throws anything but its own fault, and never hangs, on noise', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.boolean(), (chunks, isMasked) => {
        const scanner = new FrameScanner(isMasked, 'http_protocol_error');
        try {
          for (const chunk of chunks) scanner.scan(Buffer.from(chunk));
        } catch (error) {
          expect(error).toMatchObject({ code: 'http_protocol_error' });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  const refused: readonly [what: string, bytes: readonly number[]][] = [
    ['a length of 127 that fits into 16 bits', [0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]],
    ['a length beyond 2^53', [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]],
    ['a text within a text', [0x01, 0, 0x81, 0]],
    ['a continuation of nothing', [0x80, 0]],
    ['a fragmented ping', [0x09, 0]],
    ['a reserved control opcode', [0x8b, 0]],
    ['each reserved bit', [0x91, 0]],
  ];
  it.each(refused)('refuses %s', (_what, bytes) => {
    expect(() => new FrameScanner(false, 'http_protocol_error').scan(Buffer.from(bytes))).toThrow('WebSocket');
  });
});

it('the accept of RFC 6455 §1.3', () => {
  expect(acceptOf('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});
