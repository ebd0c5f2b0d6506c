import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isQuestion, parseQuestion, RCODE, writeAnswer, writeRefusal } from '../../../src/jail/dns-message.ts';

/** `flags` and `counts` as in a header; the name's labels, then type and class. */
function message({
  flags = 0x0100,
  counts = [1, 0, 0, 0],
  labels = ['api', 'example'],
  type = 1,
  kind = 1,
} = {}): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0xbeef, 0);
  header.writeUInt16BE(flags, 2);
  for (const [i, count] of counts.entries()) header.writeUInt16BE(count, 4 + 2 * i);
  const name = labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label, 'latin1')]);
  return Buffer.concat([header, ...name, Buffer.of(0, type >> 8, type & 0xff, kind >> 8, kind & 0xff)]);
}

describe('a question', () => {
  it('is read, its name in small letters', () => {
    expect(parseQuestion(message({ labels: ['API', 'Open-AI', '_x'] }))).toMatchObject({
      id: 0xbeef,
      isRecursionDesired: true,
      name: 'api.open-ai._x',
      type: 1,
    });
  });

  it('may have an additional record behind it, which is not looked at', () => {
    const parsed = parseQuestion(Buffer.concat([message({ counts: [1, 0, 0, 1] }), Buffer.from([0, 0, 41])]));
    expect(isQuestion(parsed) && parsed.section.length).toBe(17);
  });

  it.each<[string, Buffer, number]>([
    ['of another kind than a query', message({ flags: 0x2800 }), RCODE.unknownKind],
    ['with two questions', message({ counts: [2, 0, 0, 0] }), RCODE.malformed],
    ['with none', message({ counts: [0, 0, 0, 0] }), RCODE.malformed],
    ['with an answer in it', message({ counts: [1, 1, 0, 0] }), RCODE.malformed],
    ['of another class', message({ kind: 3 }), RCODE.refused],
    [
      'with a compressed name',
      Buffer.concat([message().subarray(0, 12), Buffer.of(0xc0, 12, 0, 1, 0, 1)]),
      RCODE.malformed,
    ],
    ['with a name that does not end', message().subarray(0, 18), RCODE.malformed],
    ['without type and class', message().subarray(0, -4), RCODE.malformed],
    ['with a blank in its name', message({ labels: ['a b'] }), RCODE.malformed],
    ['with a NUL in its name', message({ labels: ['a\0b'] }), RCODE.malformed],
    ['with a dot in a label', message({ labels: ['a.b'] }), RCODE.malformed],
    ['with a label of 64 bytes', message({ labels: ['a'.repeat(64)] }), RCODE.malformed],
    ['with a name of 256 bytes', message({ labels: new Array<string>(5).fill('a'.repeat(50)) }), RCODE.malformed],
  ])('%s is refused', (_what, bytes, code) => {
    const parsed = parseQuestion(bytes);
    expect(parsed).toMatchObject({ code });
    const refusal = isQuestion(parsed) ? null : writeRefusal(parsed);
    expect(refusal?.readUInt16BE(0)).toBe(0xbeef);
    expect((refusal?.readUInt16BE(2) ?? 0) & 0x800f).toBe(0x8000 | code);
    expect(refusal?.length).toBe(12);
  });

  it.each([
    ['an answer, which could go round for ever', message({ flags: 0x8100 })],
    ['less than a header', message().subarray(0, 11)],
    ['nothing', Buffer.alloc(0)],
  ])('is answered nothing where it is %s', (_what, bytes) => {
    const parsed = parseQuestion(bytes);
    expect(isQuestion(parsed) ? 'question' : writeRefusal(parsed)).toBeNull();
  });

  it('never throws, whatever comes, and is answered in at most its length and 28 bytes', () => {
    const cuts = fc
      .tuple(fc.uint8Array({ maxLength: 8 }), fc.nat({ max: 40 }), fc.nat({ max: 255 }))
      .map(([more, at, byte]) => {
        const bytes = Buffer.concat([message(), more]);
        if (at < bytes.length) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), cuts), (bytes) => {
        const parsed = parseQuestion(bytes);
        const answer = isQuestion(parsed) ? writeAnswer(parsed, new Uint8Array(16), 60) : writeRefusal(parsed);
        expect(answer?.length ?? 0).toBeLessThanOrEqual(bytes.length + 28);
        if (isQuestion(parsed)) expect(parsed.name).toMatch(/^[a-z0-9_-]*(?:\.[a-z0-9_-]+)*$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('an answer', () => {
  it('repeats the question and points back to its name', () => {
    const parsed = parseQuestion(message());
    if (!isQuestion(parsed)) throw new Error('no question');
    const answer = writeAnswer(parsed, Uint8Array.of(198, 18, 0, 1), 60);
    expect(answer.toString('hex')).toBe(
      `beef85800001000100000000${Buffer.from(parsed.section).toString('hex')}c00c000100010000003c0004c6120001`,
    );
  });

  it('without a record has a count of none', () => {
    const parsed = parseQuestion(message({ type: 28 }));
    if (!isQuestion(parsed)) throw new Error('no question');
    expect(writeAnswer(parsed, null, 60).subarray(0, 12).toString('hex')).toBe('beef85800001000000000000');
  });
});
