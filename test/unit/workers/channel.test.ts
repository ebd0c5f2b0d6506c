import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { type Body, Channel, type Desk, SecretBody } from '../../../src/workers/channel.ts';
import { encodeFrame, type Frame, FrameReader, KIND } from '../../../src/workers/frames.ts';

/** Two ends of a pipe in memory; each write arrives as the very buffer that was written, cut into pieces of `cut` bytes. */
function pair(cut = Number.POSITIVE_INFINITY): [Duplex, Duplex, Buffer[]] {
  const written: Buffer[] = [];
  const ends: Duplex[] = [];
  const make = (other: number): Duplex =>
    new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        written.push(chunk);
        for (let at = 0; at < chunk.length; at += Math.min(cut, chunk.length))
          ends[other]?.push(Buffer.from(chunk.subarray(at, at + Math.min(cut, chunk.length))));
        setImmediate(done);
      },
      final: (done) => {
        ends[other]?.push(null);
        done();
      },
    });
  ends.push(make(1), make(0));
  return [ends[0] as Duplex, ends[1] as Duplex, written];
}

function desk(
  answer: (topic: number, body: Buffer) => Body | Promise<Body> = () => '',
): Desk & { heard: string[]; closings: number } {
  const heard: string[] = [];
  return {
    heard,
    closings: 0,
    answer,
    hear: (topic, body) => void heard.push(`${topic} ${body.toString('utf8')}`),
    closed() {
      this.closings++;
    },
  };
}

const text = (body: Buffer): string => body.toString('utf8');
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe('frames', () => {
  it('are the same in whatever pieces they arrive, and nothing of them is kept', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.uint8Array({ maxLength: 300 })), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map(([kind, body], i) => encodeFrame(kind, i, i * 7, body)));
          const seen: { kind: number; topic: number; id: number; body: string }[] = [];
          const bodies: Buffer[] = [];
          const reader = new FrameReader(({ kind, topic, id, body }: Frame) => {
            seen.push({ kind, topic, id, body: body.toString('hex') });
            bodies.push(body);
          });
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = cuts[i % cuts.length] ?? 1;
            const chunk = Buffer.from(bytes.subarray(at, at + size));
            reader.push(chunk);
            expect(chunk.every((byte) => byte === 0)).toBe(true);
            at += size;
          }
          expect(seen).toEqual(
            messages.map(([kind, body], i) => ({ kind, topic: i, id: i * 7, body: Buffer.from(body).toString('hex') })),
          );
          expect(bodies.every((body) => body.every((byte) => byte === 0))).toBe(true);
        },
      ),
    );
  });

  it.each([[0], [5], [0x1000_0001], [0xffff_ffff]])('of the impossible length %i are refused', (length) => {
    const bytes = Buffer.alloc(10);
    bytes.writeUInt32LE(length, 0);
    expect(() => new FrameReader(() => {}).push(bytes)).toThrow(EgressError);
  });
});

describe('the channel', () => {
  it.each([[Number.POSITIVE_INFINITY], [1], [3]])(
    'answers questions of both ends, in pieces of %d bytes',
    async (cut) => {
      const [left, right] = pair(cut);
      const one = new Channel(
        left,
        desk((topic, body) => `${topic}:${body.toString('utf8')}`),
      );
      const two = new Channel(
        right,
        desk(async (topic, body) => Buffer.from(`${topic}!${body.toString('utf8')}`)),
      );
      const answers = await Promise.all([one.ask(7, 'a', text), two.ask(8, 'b', text), one.ask(9, 'c', text)]);
      expect(answers).toEqual(['7!a', '8:b', '9!c']);
    },
  );

  it('keeps the order of what is told and answered', async () => {
    const [left, right] = pair();
    const order: string[] = [];
    const asker = desk();
    asker.hear = (_topic, body) => void order.push(body.toString('utf8'));
    const one = new Channel(left, asker);
    const two: Channel = new Channel(
      right,
      desk((_topic, body) => {
        two.tell(1, `before ${body.toString('utf8')}`);
        return 'answer';
      }),
    );
    await one.ask(2, 'x', (body) => order.push(text(body)));
    expect(order).toEqual(['before x', 'answer']);
  });

  it('carries failures by code, and nothing of their cause', async () => {
    const [left, right, written] = pair();
    const one = new Channel(left, desk());
    new Channel(
      right,
      desk(() => {
        throw new EgressError('credential_denied', {
          detail: 'no role',
          retryAfterMs: 7,
          cause: new Error('canary-cause'),
        });
      }),
    );
    await expect(one.ask(1, '', text)).rejects.toMatchObject({
      code: 'credential_denied',
      detail: 'no role',
      retryAfterMs: 7,
    });
    expect(Buffer.concat(written).includes('canary-cause')).toBe(false);
  });

  it('zeroes a secret when it is written, wherever it lay', async () => {
    const [left, right, written] = pair();
    const secret = Buffer.from('sk-canary-0123456789');
    const one = new Channel(left, desk());
    new Channel(
      right,
      desk(() => new SecretBody(secret)),
    );
    const answers = Promise.all([one.ask(1, '', text), one.ask(2, '', text)]);
    expect((await answers)[0]).toBe('sk-canary-0123456789');
    await turn();
    expect(secret.every((byte) => byte === 0)).toBe(true);
    expect(written.some((bytes) => bytes.includes('canary'))).toBe(false);
  });

  it('writes once for all that is said in one turn', async () => {
    const [left, right, written] = pair();
    const other = desk();
    const one = new Channel(left, desk());
    new Channel(right, other);
    for (let i = 0; i < 10; i++) one.tell(i, 'x');
    await turn();
    expect(other.heard).toHaveLength(10);
    expect(written).toHaveLength(1);
  });

  it('fails open questions when it closes, and new ones at once', async () => {
    const [left, right] = pair();
    const mine = desk();
    const theirs = desk(() => new Promise<Body>(() => {}));
    const one = new Channel(left, mine);
    const two = new Channel(right, theirs);
    const open = one.ask(1, '', text);
    await turn();
    two.close();
    await expect(open).rejects.toMatchObject({ code: 'overload' });
    await expect(one.ask(1, '', text)).rejects.toMatchObject({ code: 'overload' });
    one.close();
    expect([mine.closings, theirs.closings]).toEqual([1, 1]);
  });

  it.each([
    ['bytes that are no frame', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a frame of no kind', encodeFrame(9, 1, 1, 'x')],
    ['a failure that is not JSON', Buffer.concat([encodeFrame(KIND.failure, 1, 1, '{')])],
  ])('closes at %s', async (_name, bytes) => {
    const [left, right] = pair();
    const mine = desk();
    const one = new Channel(left, mine);
    const open = one.ask(1, '', text).catch((error: unknown) => error);
    right.write(bytes);
    await turn();
    expect(mine.closings).toBe(1);
    expect(await open).toMatchObject({ code: 'overload' });
  });
});
