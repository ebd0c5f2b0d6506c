import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { type Body, collectBody, type RequestHead, type ResponseHead } from '../../../src/core/message.ts';
import { MessageReader } from '../../../src/http1/message-reader.ts';
import { createRequestParser } from '../../../src/http1/request-parser.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';

/** A stream whose other side is the test. */
class Peer extends Duplex {
  constructor() {
    super({ emitClose: true, autoDestroy: false });
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }

  send(text: string): this {
    this.push(Buffer.from(text, 'latin1'));
    return this;
  }

  get listeners_(): number {
    return ['data', 'end', 'error', 'close', 'readable'].reduce((sum, name) => sum + this.listenerCount(name), 0);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const GET = 'GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n';
const post = (body: string, bytes = body.length): string =>
  `POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${bytes}\r\n\r\n${body}`;
const chunked = (body: string): string =>
  `POST /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;

function requests(options: { highWaterBytes?: number } = {}): { peer: Peer; reader: MessageReader<RequestHead> } {
  const peer = new Peer();
  const parser = createRequestParser({ defaultScheme: 'https' });
  return { peer, reader: new MessageReader(peer, parser, { closed: 'downstream_aborted', ...options }) };
}

function responses(method = 'GET'): { peer: Peer; reader: MessageReader<ResponseHead> } {
  const peer = new Peer();
  const parser = createResponseParser();
  parser.expect(method);
  return { peer, reader: new MessageReader(peer, parser, { closed: 'connection_terminated' }) };
}

async function must<T>(pending: Promise<T | null>): Promise<T> {
  const value = await pending;
  if (value === null) throw new Error('the stream ended');
  return value;
}

const codeOf = async (pending: Promise<unknown>): Promise<string> => {
  try {
    await pending;
    return 'none';
  } catch (thrown) {
    return thrown instanceof EgressError ? thrown.code : 'foreign';
  }
};

const textOf = async (body: Body): Promise<string> => (await collectBody(body, 1 << 20))?.toString('latin1') ?? '';

describe('messages', () => {
  it('hand out the trailers of a response, when it is over', async () => {
    const { peer, reader } = responses();
    peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\n');
    const { body } = await must(reader.next());
    expect(body.trailers).toBeNull();
    expect(await textOf(body)).toBe('de');
    expect(body.trailers?.get('x')).toBe('1');
  });

  it('come one after the other, also where they came together', async () => {
    const { peer, reader } = requests();
    peer.send(`${GET}${post('abc')}${chunked('2\r\nde\r\n0\r\nX: 1\r\n\r\n')}${GET}`).push(null);
    expect((await must(reader.next())).head.target).toBe('/a');
    const second = await must(reader.next());
    expect([second.head.target, second.body.length, await textOf(second.body)]).toEqual(['/p', 3, 'abc']);
    const third = await must(reader.next());
    expect([third.body.length, third.body.trailers]).toEqual([null, null]);
    expect(await textOf(third.body)).toBe('de');
    expect(third.body.trailers).toBeNull();
    expect((await must(reader.next())).head.target).toBe('/a');
    expect(await reader.next()).toBeNull();
    expect(await reader.next()).toBeNull();
  });

  it('are awaited, in any pieces', async () => {
    const { peer, reader } = requests();
    const pending = reader.next();
    for (const byte of post('ab')) {
      peer.send(byte);
      await turn();
    }
    const { body } = await must(pending);
    expect(await textOf(body)).toBe('ab');
  });

  it('tell their end with their last byte', async () => {
    const { peer, reader } = requests();
    expect(reader.isIdle).toBe(true);
    peer.send(GET);
    await turn();
    expect(reader.isIdle).toBe(false);
    await reader.next();
    expect(reader.isIdle).toBe(true);
    peer.send(post('ab'));
    const { body } = await must(reader.next());
    expect(reader.isIdle).toBe(false);
    expect(body.take()?.toString()).toBe('ab');
    expect(reader.isIdle).toBe(true);
    expect(body.take()).toBeNull();
    expect(await body.read()).toBeNull();
  });

  it('tell their end also where it arrives while nobody reads', async () => {
    const { peer, reader } = requests();
    peer.send(chunked('2\r\nab\r\n'));
    const { body } = await must(reader.next());
    expect(body.take()?.toString()).toBe('ab');
    expect(reader.isIdle).toBe(false);
    peer.send('0\r\n\r\n');
    await turn();
    expect(reader.isIdle).toBe(true);
  });

  it('wait where one body is still being read', async () => {
    const { peer, reader } = requests();
    peer.send(post('abc', 4));
    const { body } = await must(reader.next());
    expect((await body.read())?.toString()).toBe('abc');
    const rest = body.read();
    peer.send(`d${GET}`);
    expect((await rest)?.toString()).toBe('d');
    expect(reader.isIdle).toBe(false);
    expect((await must(reader.next())).head.target).toBe('/a');
  });
});

describe('a body that was not read', () => {
  it('is skipped by the next `next`, up to 256 KiB', async () => {
    const { peer, reader } = requests();
    peer.send(post('x'.repeat(200_000)) + GET);
    await reader.next();
    expect((await must(reader.next())).head.target).toBe('/a');
    const other = requests();
    other.peer.send(post('x'.repeat(300_000)) + GET);
    await other.reader.next();
    expect(await codeOf(other.reader.next())).toBe('internal');
  });

  it('is drained up to a limit', async () => {
    const { peer, reader } = requests();
    peer.send(post('abc', 6));
    await reader.next();
    const pending = reader.drain(6);
    peer.send('def');
    expect(await pending).toBe(true);
    expect(reader.isIdle).toBe(true);
    expect(await reader.drain(0)).toBe(true);
    peer.send(post('abcd'));
    await reader.next();
    expect(await reader.drain(3)).toBe(false);
  });

  it('refuses its reader when it is drained, and the drain before when it is drained again', async () => {
    const { peer, reader } = requests();
    peer.send(post('', 3));
    const { body } = await must(reader.next());
    const reading = codeOf(body.read());
    const first = reader.drain(10);
    expect(await reading).toBe('internal');
    const second = reader.drain(10);
    expect(await first).toBe(false);
    peer.send('abc');
    expect(await second).toBe(true);
  });

  it('is over for its reader when it was cancelled, and skipped', async () => {
    const { peer, reader } = requests();
    peer.send(post('abc', 6));
    const { body } = await must(reader.next());
    body.cancel();
    body.cancel();
    expect(body.take()).toBeNull();
    expect(await codeOf(body.read())).toBe('internal');
    peer.send(`def${GET}`);
    expect((await must(reader.next())).head.target).toBe('/a');
  });

  it('gives false where the stream dies while it is drained', async () => {
    const { peer, reader } = requests();
    peer.send(post('abc', 6));
    await reader.next();
    const pending = reader.drain(100);
    peer.destroy();
    expect(await pending).toBe(false);
  });
});

describe('a stream that breaks', () => {
  it('rejects a head that is awaited, and one that is asked for later', async () => {
    for (const text of ['', 'GET /']) {
      const { peer, reader } = requests();
      peer.send(text);
      const pending = codeOf(reader.next());
      await turn();
      peer.destroy(new Error('reset'));
      expect(await pending).toBe('downstream_aborted');
      expect(await codeOf(reader.next())).toBe('downstream_aborted');
    }
  });

  it('rejects a body behind what had arrived of it', async () => {
    const { peer, reader } = responses();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
    const { body } = await must(reader.next());
    peer.destroy(new Error('reset'));
    await turn();
    expect((await body.read())?.toString()).toBe('abc');
    expect(await codeOf(body.read())).toBe('http_response_incomplete');
    expect(await codeOf(reader.next())).toBe('http_response_incomplete');
  });

  it('does not make a close-delimited body look complete, an orderly end does', async () => {
    const broken = responses();
    broken.peer.send('HTTP/1.1 200 OK\r\n\r\nabc');
    const first = await must(broken.reader.next());
    expect((await first.body.read())?.toString()).toBe('abc');
    const reading = codeOf(first.body.read());
    broken.peer.destroy();
    expect(await reading).toBe('http_response_incomplete');

    const ended = responses();
    ended.peer.send('HTTP/1.1 200 OK\r\n\r\nabc').push(null);
    expect(await textOf((await must(ended.reader.next())).body)).toBe('abc');
  });

  it('rejects what ended in order but too early', async () => {
    const { peer, reader } = responses();
    peer.push(null);
    expect(await codeOf(reader.next())).toBe('connection_terminated');
    const cut = responses();
    cut.peer.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc').push(null);
    const { body } = await must(cut.reader.next());
    expect(await codeOf(textOf(body))).toBe('http_response_incomplete');
  });

  it('delivers a whole message that arrived before', async () => {
    const { peer, reader } = responses();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc');
    await turn();
    peer.destroy(new Error('reset'));
    await turn();
    expect(await textOf((await must(reader.next())).body)).toBe('abc');
  });

  it('that was dead before rejects at once', async () => {
    const peer = new Peer();
    peer.destroy();
    await turn();
    const reader = new MessageReader(peer, createRequestParser({ defaultScheme: 'https' }), {
      closed: 'downstream_aborted',
    });
    expect(await codeOf(reader.next())).toBe('downstream_aborted');
  });

  it('never leaves a rejection that nobody handles', async () => {
    const { peer } = requests();
    peer.send('\0').destroy(new Error('reset'));
    const other = requests();
    other.peer.send(post('abc', 9));
    await other.reader.next();
    other.peer.destroy(new Error('reset'));
    await turn();
    await turn();
  });
});

describe('what the parser refuses', () => {
  it('rejects the head, behind the messages before it', async () => {
    const { peer, reader } = requests();
    peer.send(`${GET}TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    await reader.next();
    expect(await codeOf(reader.next())).toBe('request_method_unsupported');
    expect(await codeOf(reader.next())).toBe('request_method_unsupported');
  });

  it('rejects the body, behind the chunks before it', async () => {
    const { peer, reader } = requests();
    peer.send(chunked('1\r\na\r\n1\r\nb\r\nx'));
    const { body } = await must(reader.next());
    expect([(await body.read())?.toString(), (await body.read())?.toString()]).toEqual(['a', 'b']);
    expect(await codeOf(body.read())).toBe('request_malformed');
    expect(await codeOf(body.read())).toBe('request_malformed');
    expect(await reader.drain(100)).toBe(false);
  });

  it('shows where a response comes unasked while `next` waits', async () => {
    const peer = new Peer();
    const reader = new MessageReader(peer, createResponseParser(), { closed: 'connection_terminated' });
    const pending = codeOf(reader.next());
    peer.send('HTTP/1.1 200 OK\r\n\r\n');
    expect(await pending).toBe('http_protocol_error');
    const quiet = new Peer();
    const other = new MessageReader(quiet, createResponseParser(), { closed: 'connection_terminated' });
    const end = other.next();
    quiet.push(null);
    expect(await end).toBeNull();
  });
});

describe('backpressure', () => {
  it('pauses the stream at the high-water mark while nobody reads, and resumes it', async () => {
    const { peer, reader } = requests({ highWaterBytes: 1_000 });
    peer.send(post('', 100_000));
    const { body } = await must(reader.next());
    let sent = 0;
    while (sent < 100_000 && !peer.isPaused()) {
      peer.send('x'.repeat(500));
      sent += 500;
      await turn();
    }
    expect(sent).toBeLessThan(5_000);
    peer.send('x'.repeat(100_000 - sent));
    expect((await textOf(body)).length).toBe(100_000);
    expect(reader.isIdle).toBe(true);
  });

  it('does not stall on a head that is larger than the high-water mark', async () => {
    const { peer, reader } = requests({ highWaterBytes: 10 });
    const raw = `GET / HTTP/1.1\r\nHost: a.test\r\nX: ${'y'.repeat(5_000)}\r\n\r\n`;
    for (let at = 0; at < raw.length; at += 100) {
      peer.send(raw.slice(at, at + 100));
      await turn();
    }
    expect((await must(reader.next())).head.target).toBe('/');
    const waiting = reader.next();
    for (let at = 0; at < raw.length; at += 100) {
      peer.send(raw.slice(at, at + 100));
      await turn();
    }
    expect((await must(waiting)).head.target).toBe('/');
  });
});

describe('detach', () => {
  it('hands out what follows CONNECT and takes every listener off', async () => {
    const { peer, reader } = requests();
    const mine = peer.listeners_;
    peer.send('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n\x16\x03');
    await reader.next();
    expect(reader.detach().toString('latin1')).toBe('\x16\x03');
    expect(mine).toBeGreaterThan(0);
    expect(peer.listeners_).toBe(0);
    expect(peer.isPaused()).toBe(true);
    peer.send('\x01');
    await turn();
    expect((peer.read() as Buffer).toString('latin1')).toBe('\x01');
    expect(await codeOf(reader.next())).toBe('internal');
  });

  it('refuses whoever waits', async () => {
    const { reader } = requests();
    const pending = codeOf(reader.next());
    reader.detach();
    expect(await pending).toBe('internal');
  });
});
