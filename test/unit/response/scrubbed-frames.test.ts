import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NeedleSet } from '../../../src/response/needle-set.ts';
import { ScrubbedFrames } from '../../../src/response/scrubbed-frames.ts';
import { FrameScanner } from '../../../src/websocket/frames.ts';
import { CLOSE, frame, PING, TEXT } from '../../wire/web-socket-peer.ts';
import { chunksBody } from './response-fixtures.ts';

const SECRET = 'sk-secret-0123456789';
const needles = NeedleSet.of([Buffer.from(SECRET)]) as NeedleSet;

async function scrubbed(chunks: readonly Buffer[]): Promise<{ bytes: Buffer; reads: Buffer[]; count: number }> {
  const body = new ScrubbedFrames(chunksBody(chunks.map((chunk) => Buffer.from(chunk))), needles);
  const reads: Buffer[] = [];
  for (let read = await body.read(); read !== null; read = await body.read()) reads.push(read);
  return { bytes: Buffer.concat(reads), reads, count: body.count };
}

/** Payload of each message, and of each control frame; lengths of the frames. */
function understood(bytes: Buffer): { messages: string[]; controls: string[]; lengths: number[] } {
  const messages: string[] = [];
  const controls: string[] = [];
  const lengths: number[] = [];
  let message = '';
  let control = '';
  for (const { kind, frame: of, bytes: run, isLast } of new FrameScanner(false, 'internal').scan(bytes)) {
    if (kind === 'head') lengths.push(of.length);
    else if (of.opcode >= CLOSE) control += run.toString('latin1');
    else message += run.toString('latin1');
    if (!isLast) continue;
    if (of.opcode >= CLOSE) {
      controls.push(control);
      control = '';
    } else if (of.isFinal) {
      messages.push(message);
      message = '';
    }
  }
  return { messages, controls, lengths };
}

describe('frames of a server', () => {
  const word = fc.constantFrom(SECRET, SECRET.slice(0, 9), SECRET.slice(9), 'x', 'sk-', '');
  const part = fc.array(word, { maxLength: 4 }).map((words) => words.join(''));
  const message = fc.array(part, { minLength: 1, maxLength: 4 });

  it('property: in any fragments and cuts no message has the secret, all else is as it was, and nothing stays behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 4 }), fc.array(fc.nat(30)), async (messages, cuts) => {
        const frames = messages.flatMap((parts) =>
          parts.flatMap((text, i) => [
            frame(i === 0 ? TEXT : 0, text, { isFinal: i === parts.length - 1 }),
            ...(text.length % 2 === 0 ? [frame(PING, `p${i}`)] : []),
          ]),
        );
        const bytes = Buffer.concat(frames);
        const chunks: Buffer[] = [];
        let rest = bytes;
        for (const cut of cuts) {
          chunks.push(rest.subarray(0, cut));
          rest = rest.subarray(cut);
        }
        const { bytes: clean } = await scrubbed([...chunks, rest].filter((chunk) => chunk.length > 0));
        const before = understood(bytes);
        const after = understood(clean);
        expect(after.lengths).toEqual(before.lengths);
        expect(after.controls).toEqual(before.controls);
        expect(after.messages).toEqual(
          before.messages.map((text) => text.replaceAll(SECRET, '*'.repeat(SECRET.length))),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it('a message leaves with its last byte, whatever it ends in', async () => {
    const first = frame(TEXT, SECRET.slice(0, 10));
    const second = frame(TEXT, 'next');
    expect((await scrubbed([first, second])).reads.map(String)).toEqual([String(first), String(second)]);
  });

  it('a Close with the secret is cleaned and counted', async () => {
    const { bytes, count } = await scrubbed([
      frame(CLOSE, Buffer.concat([Buffer.from([3, 232]), Buffer.from(SECRET)])),
    ]);
    expect(bytes.toString('latin1')).not.toContain(SECRET);
    expect(count).toBe(1);
  });
});
