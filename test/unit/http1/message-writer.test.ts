import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import { type Body, bodyOf, EMPTY_BODY, type Framing } from '../../../src/core/message.ts';
import { writeMessage as write } from '../../../src/http1/message-writer.ts';

/** Keeps each write; `isOpen` false holds back its completion, as a peer that does not read does. */
class Sink extends Writable {
  readonly writes: string[] = [];
  readonly buffers: Buffer[] = [];
  isOpen = true;
  #held: (() => void)[] = [];

  constructor(highWaterMark = 1 << 20) {
    super({ highWaterMark });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push(chunk.toString('latin1'));
    this.buffers.push(chunk);
    if (this.isOpen) done();
    else this.#held.push(done);
  }

  open(): void {
    this.isOpen = true;
    for (const done of this.#held.splice(0)) done();
  }

  get text(): string {
    return this.writes.join('');
  }

  get listeners_(): number {
    return this.eventNames().reduce((sum, name) => sum + this.listenerCount(name), 0);
  }
}

/** A body whose chunks are given while it is read. */
class ScriptedBody implements Body {
  readonly length = null;
  readonly isOver = false;
  trailers: HeaderList | null = null;
  isCancelled = false;
  #waiting: { resolve(chunk: Buffer | null): void; reject(error: Error): void } | null = null;

  give(text: string | null): void {
    this.#waiting?.resolve(text === null ? null : Buffer.from(text));
    this.#waiting = null;
  }

  fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }

  get isAwaited(): boolean {
    return this.#waiting !== null;
  }

  read(): Promise<Buffer | null> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  take(): Buffer | null {
    return null;
  }

  cancel(): void {
    this.isCancelled = true;
  }
}

/** Chunks that are all here. */
function chunksOf(...texts: string[]): Body {
  const rest = texts.map((text) => Buffer.from(text));
  return {
    length: null,
    isOver: false,
    trailers: null,
    read: () => Promise.resolve(rest.shift() ?? null),
    take: () => rest.shift() ?? null,
    cancel: () => {},
  };
}

/** Whatever comes at once is waited for like the rest. */
const writeMessage = async (...args: Parameters<typeof write>): Promise<number> => write(...args);
const HEAD = 'HEAD\r\n\r\n';
const head = (): Buffer => Buffer.from(HEAD);
const CHUNKED: Framing = { kind: 'chunked' };
const length = (bytes: number): Framing => ({ kind: 'length', length: bytes });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const codeOf = async (pending: Promise<unknown>): Promise<string> => {
  try {
    await pending;
    return 'none';
  } catch (thrown) {
    return thrown instanceof EgressError ? thrown.code : 'foreign';
  }
};

describe('a body with a secret in it', () => {
  it.each([100, 20_000])('of %i bytes is zeroed when it is out, with every copy of it', async (size) => {
    const sink = new Sink();
    const body = Buffer.alloc(size, 's');
    const bytes = head();
    const options = { zeroHead: true, zeroBody: true };
    expect(await writeMessage(sink, bytes, length(size), bodyOf(body), options)).toBe(size);
    await turn();
    expect(sink.text).toBe(`${HEAD}${'s'.repeat(size)}`);
    for (const each of [bytes, body, ...sink.buffers]) expect(each.every((byte) => byte === 0)).toBe(true);
  });
});

describe('what is on the wire', () => {
  it('is head and first chunk in one write where both are here', async () => {
    const sink = new Sink();
    expect(await writeMessage(sink, head(), length(3), bodyOf(Buffer.from('abc')))).toBe(3);
    expect(sink.writes).toEqual([`${HEAD}abc`]);
  });

  it('is one write, at once, for a short message in chunks whose end is here', () => {
    const sink = new Sink();
    expect(write(sink, head(), CHUNKED, bodyOf(Buffer.from('abc')))).toBe(3);
    expect(sink.writes).toEqual([`${HEAD}3\r\nabc\r\n0\r\n\r\n`]);
  });

  it('is the first chunk at once where the second has to be waited for', async () => {
    const sink = new Sink();
    const later = new ScriptedBody();
    const first = bodyOf(Buffer.from('abc'));
    const body: Body = { ...first, length: null, trailers: null, read: () => later.read() };
    const pending = writeMessage(sink, head(), CHUNKED, body);
    await turn();
    expect(sink.writes).toEqual([`${HEAD}3\r\nabc\r\n`]);
    later.give('de');
    await turn();
    later.give(null);
    expect(await pending).toBe(5);
    expect(sink.text).toBe(`${HEAD}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
  });

  it('is the head at once where the body has to be waited for', async () => {
    const sink = new Sink();
    const body = new ScriptedBody();
    let headsWritten = 0;
    const pending = writeMessage(sink, head(), CHUNKED, body, { onHeadWritten: () => headsWritten++ });
    expect([sink.writes, headsWritten]).toEqual([[HEAD], 1]);
    await turn();
    body.give('data: 1\n\n');
    await turn();
    expect(sink.writes).toEqual([HEAD, '9\r\ndata: 1\n\n\r\n']);
    body.give(null);
    expect(await pending).toBe(9);
    expect(sink.writes.slice(2)).toEqual(['0\r\n\r\n']);
    expect(headsWritten).toBe(1);
  });

  it('is chunked in hex, with trailers', async () => {
    const sink = new Sink();
    const body = { ...chunksOf('a'.repeat(26)), trailers: HeaderList.of(['X-Sum', '1']) };
    expect(await writeMessage(sink, head(), CHUNKED, body)).toBe(26);
    expect(sink.text).toBe(`${HEAD}1a\r\n${'a'.repeat(26)}\r\n0\r\nX-Sum: 1\r\n\r\n`);
  });

  it('is the same for chunks too large to be copied', async () => {
    const sink = new Sink();
    const large = 'b'.repeat(40_000);
    expect(await writeMessage(sink, head(), CHUNKED, chunksOf(large, large))).toBe(80_000);
    expect(sink.text).toBe(`${HEAD}${`9c40\r\n${large}\r\n`.repeat(2)}0\r\n\r\n`);
  });

  it('has no framing of its own for a length or a close', async () => {
    for (const framing of [length(4), { kind: 'close' } as const]) {
      const sink = new Sink();
      expect(await writeMessage(sink, head(), framing, chunksOf('ab', 'cd'))).toBe(4);
      expect(sink.text).toBe(`${HEAD}abcd`);
      expect(sink.writableEnded).toBe(false);
    }
  });

  it('is the head alone where there is no body', async () => {
    for (const framing of [length(0), { kind: 'none' } as const, { kind: 'close' } as const]) {
      const sink = new Sink();
      expect(await writeMessage(sink, head(), framing, EMPTY_BODY)).toBe(0);
      expect(sink.text).toBe(HEAD);
    }
    const sink = new Sink();
    expect(await writeMessage(sink, head(), CHUNKED, EMPTY_BODY)).toBe(0);
    expect(sink.text).toBe(`${HEAD}0\r\n\r\n`);
  });
});

describe('a body of the wrong length', () => {
  it.each([
    ['too long in one chunk', length(2), ['abc'], ''],
    ['too long in a second chunk', length(2), ['ab', 'c'], ''],
    ['too long in a third chunk', length(3), ['a', 'bc', 'd'], `${HEAD}a`],
    ['too short', length(4), ['ab', 'c'], `${HEAD}abc`],
    ['empty', length(1), [], HEAD],
    ['not empty where it should be', length(0), ['a'], ''],
    ['not empty where there is none', { kind: 'none' } as const, ['a'], ''],
  ])('%s never looks complete', async (_name, framing, chunks, written) => {
    const sink = new Sink();
    expect(await codeOf(writeMessage(sink, head(), framing, chunksOf(...chunks)))).toBe('internal');
    expect(sink.text).toBe(written);
  });

  it('that knew its length is not waited for at its end', async () => {
    const sink = new Sink();
    const body: Body = { ...chunksOf('ab'), length: 2, read: () => new Promise(() => {}) };
    expect(await writeMessage(sink, head(), length(2), body)).toBe(2);
    const liar: Body = { ...chunksOf('ab', 'c'), length: 2 };
    expect(await codeOf(writeMessage(new Sink(), head(), length(2), liar))).toBe('internal');
  });

  it('cut short in chunks has no last chunk', async () => {
    const sink = new Sink();
    const body = new ScriptedBody();
    const pending = codeOf(writeMessage(sink, head(), CHUNKED, body));
    await turn();
    body.give('ab');
    await turn();
    body.fail(new EgressError('http_response_incomplete'));
    expect(await pending).toBe('http_response_incomplete');
    expect(sink.text).toBe(`${HEAD}2\r\nab\r\n`);
    expect(body.isCancelled).toBe(true);
  });
});

describe('a head with a secret', () => {
  it.each([
    ['alone', new ScriptedBody()],
    ['with a chunk', bodyOf(Buffer.from('abc'))],
    ['with a large chunk', bodyOf(Buffer.alloc(40_000, 97))],
  ])('is zeroed when the socket has taken it: %s', async (_name, body) => {
    const sink = new Sink();
    sink.isOpen = false;
    const bytes = head();
    const framing = body.length === null ? CHUNKED : length(body.length);
    const pending = writeMessage(sink, bytes, framing, body, { zeroHead: true }).catch(() => 0);
    await turn();
    expect(sink.text.startsWith(HEAD)).toBe(true);
    expect(sink.buffers[0]?.toString('latin1').startsWith(HEAD)).toBe(true);
    sink.open();
    await turn();
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(sink.buffers[0]?.subarray(0, HEAD.length).every((byte) => byte === 0)).toBe(true);
    expect(sink.buffers[0]?.subarray(HEAD.length).some((byte) => byte === 0)).toBe(false);
    sink.destroy();
    await pending;
  });

  it('is zeroed where it is never written', async () => {
    const sink = new Sink();
    sink.destroy();
    const bytes = head();
    expect(await codeOf(writeMessage(sink, bytes, CHUNKED, EMPTY_BODY, { zeroHead: true }))).toBe(
      'connection_terminated',
    );
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a sink that does not keep up', () => {
  it('is waited for', async () => {
    const sink = new Sink(4);
    sink.isOpen = false;
    let taken = 0;
    const body = chunksOf('aaaa', 'bbbb', 'cccc');
    const count = <T>(chunk: T): T => {
      taken++;
      return chunk;
    };
    const counted: Body = { ...body, take: () => count(body.take()), read: () => count(body.read()) };
    const pending = writeMessage(sink, head(), CHUNKED, counted);
    await turn();
    expect([sink.writes.length, taken]).toEqual([1, 1]);
    sink.open();
    expect(await pending).toBe(12);
  });

  it.each([
    ['closes', (sink: Sink) => void sink.destroy(), 'connection_terminated'],
    ['breaks', (sink: Sink) => void sink.on('error', () => {}).destroy(new Error('reset')), 'connection_terminated'],
  ])('ends the message where it %s', async (_name, act, code) => {
    for (const isOpen of [true, false]) {
      const sink = new Sink(1);
      sink.isOpen = isOpen;
      const body = new ScriptedBody();
      const pending = codeOf(writeMessage(sink, head(), CHUNKED, body));
      await turn();
      act(sink);
      expect(await pending).toBe(code);
      expect(body.isCancelled).toBe(true);
    }
  });

  it('is left where the signal aborts, with the reason of the signal', async () => {
    for (const isOpen of [true, false]) {
      const sink = new Sink(1);
      sink.isOpen = isOpen;
      const controller = new AbortController();
      const pending = codeOf(writeMessage(sink, head(), CHUNKED, new ScriptedBody(), { signal: controller.signal }));
      await turn();
      controller.abort(new EgressError('draining'));
      expect(await pending).toBe('draining');
    }
    const early = writeMessage(new Sink(), head(), CHUNKED, EMPTY_BODY, { signal: AbortSignal.abort() });
    expect(await codeOf(early)).toBe('connection_terminated');
  });
});

it('leaves no listener behind, whatever happens', async () => {
  const sink = new Sink(1);
  sink.on('error', () => {});
  const before = sink.listeners_;
  for (let i = 0; i < 20; i++) {
    await writeMessage(sink, head(), CHUNKED, chunksOf('a', 'b'));
    await codeOf(writeMessage(sink, head(), length(9), chunksOf('a')));
    const controller = new AbortController();
    const pending = codeOf(writeMessage(sink, head(), CHUNKED, new ScriptedBody(), { signal: controller.signal }));
    controller.abort();
    await pending;
  }
  expect(sink.listeners_).toBe(before);
});
