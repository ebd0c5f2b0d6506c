/** Duty: what a workload may do to us with frames: each flood ends its connection, bounded in work and memory; nothing hangs. */
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { collectBody } from '../../src/core/message.ts';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import type { FrameClient } from './http2-client.ts';
import { EndlessBody, GET, type Http2World, headOf, openHttp2World, POST } from './http2-world.ts';
import type { Timeouts } from './tunnel-harness.ts';
import { until } from './upstream-world.ts';

const ENHANCE_YOUR_CALM = 11;
const CANCEL = Buffer.from('00000008', 'hex');

let world: Http2World;
const open = async (timeouts: Timeouts = {}): Promise<FrameClient> => {
  world = await openHttp2World(timeouts);
  return world.frames();
};
afterEach(() => world.close());

const calmed = async (client: FrameClient): Promise<void> => {
  await until(() => client.isClosed, 20_000);
  expect(client.goAway()).toBe(ENHANCE_YOUR_CALM);
};

/** Writes in pieces, as long as the other side takes them. */
async function repeat(client: FrameClient, times: number, write: (index: number) => void): Promise<void> {
  for (let index = 0; index < times && !client.isClosed; index++) {
    write(index);
    if (index % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a flood', () => {
  it('of 10,000 streams that are reset at once begins a few hundred exchanges and ends', async () => {
    const client = await open();
    await repeat(client, 10_000, (index) => {
      client.headers(2 * index + 1, GET);
      client.send(FRAME.RST_STREAM, 0, 2 * index + 1, CANCEL);
    });
    await calmed(client);
    expect(world.proxy.seen.length).toBeLessThan(600);
  });

  it('of streams that are reset makes no room while their exchanges run', async () => {
    const client = await open({ maxConcurrentPerWorkload: 10 });
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    world.serve = () => released;
    for (let index = 0; index < 20; index++) {
      client.headers(2 * index + 1, GET);
      client.send(FRAME.RST_STREAM, 0, 2 * index + 1, CANCEL);
    }
    client.headers(41, GET);
    await until(() => client.resetOf(41) !== null);
    expect(client.resetOf(41)).toBe(7);
    expect(world.proxy.seen.length).toBe(10);
    release();
    world.serve = async (request) => void (await request.respond(headOf(0), new EndlessBody(0)));
    await until(() => {
      client.headers(client.of(FRAME.RST_STREAM).at(-1)?.stream === 41 ? 43 : 45, GET);
      return client.statusOf(43) === '200';
    });
  });

  it('of CONTINUATION ends before anything is decoded', async () => {
    const client = await open();
    client.send(FRAME.HEADERS, 0, 1, client.block(GET));
    await repeat(client, 1_000, () => client.send(FRAME.CONTINUATION, 0, 1, Buffer.from('00016100', 'hex')));
    await calmed(client);
    expect(world.proxy.seen).toEqual([]);
  });

  it('of one header block ends at its limit', async () => {
    const client = await open();
    client.send(FRAME.HEADERS, 0, 1, client.block(GET));
    await repeat(client, 10, () => client.send(FRAME.CONTINUATION, 0, 1, Buffer.alloc(16_000)));
    await calmed(client);
  });

  it('of fields out of the table is one answer 431, and costs no memory', async () => {
    const client = await open();
    const value = Buffer.alloc(3_900, 'x');
    client.headers(1, GET);
    // The encoder of the test has made the table empty: it is made large again, and one field is kept.
    const field = [Buffer.from('400162', 'hex'), Buffer.from('7fbd1d', 'hex'), value];
    const kept = Buffer.concat([Buffer.from('3fe11f', 'hex'), client.block(GET), ...field]);
    client.send(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 3, kept);
    await until(() => client.statusOf(3) === '200');
    const before = process.memoryUsage().heapUsed;
    const bomb = Buffer.concat([client.block(GET), Buffer.alloc(16_000, 0xbe)]);
    for (let stream = 5; stream < 43; stream += 2)
      client.send(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, stream, bomb);
    await until(() => client.statusOf(41) === '431');
    // All of it, written out, were 1.2 GB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
    expect(world.proxy.seen).toEqual(['GET /', 'GET /']);
  });

  it.each([
    ['PING', FRAME.PING, 0, Buffer.from('12345678')],
    ['SETTINGS', FRAME.SETTINGS, 0, Buffer.alloc(0)],
    ['PRIORITY', FRAME.PRIORITY, 3, Buffer.from('0000000510', 'hex')],
    ['WINDOW_UPDATE', FRAME.WINDOW_UPDATE, 0, Buffer.from('00000001', 'hex')],
    ['frames that nobody knows', 0x55, 0, Buffer.alloc(0)],
  ])('of %s ends', async (_, type, stream, payload) => {
    const client = await open();
    await repeat(client, 3_000, () => client.send(type, 0, stream, payload));
    await calmed(client);
  });

  it('of empty DATA ends', async () => {
    const client = await open();
    client.headers(1, POST, 0);
    await repeat(client, 3_000, () => client.send(FRAME.DATA, 0, 1));
    await calmed(client);
  });

  it('of requests that are refused ends', async () => {
    const client = await open();
    await repeat(client, 3_000, (index) => client.headers(2 * index + 1, { ...GET, ':authority': 'other.test' }));
    await calmed(client);
    expect(world.proxy.sink.lines.length).toBeLessThan(600);
  });
});

describe('a workload that takes its time', () => {
  const times = { idleTimeoutMs: 200, requestHeadTimeoutMs: 200, bodyRateGraceMs: 150, requestTimeoutMs: 1_000 };

  it('without a preface is cut off', async () => {
    world = await openHttp2World(times);
    const { openSecure } = await import('./tunnel-harness.ts');
    const secure = await openSecure(world.proxy, 'api.test:443', 'api.test', ['h2']);
    secure.resume();
    secure.write('PRI * HTTP/2.0\r\n');
    await until(() => secure.destroyed);
    await until(() => world.proxy.sink.lines.length === 1);
    expect(world.proxy.sink.lines).toMatchObject([{ code: 'request_timeout' }]);
  });

  it('within a header block is cut off, however it drips', async () => {
    const client = await open(times);
    client.send(FRAME.HEADERS, 0, 1, client.block(GET));
    const drip = setInterval(() => client.send(FRAME.CONTINUATION, 0, 1, Buffer.from('0001610161', 'hex')), 50);
    await until(() => client.isClosed);
    clearInterval(drip);
    expect(world.proxy.seen).toEqual([]);
    await until(() => world.proxy.sink.lines.length === 1);
    expect(world.proxy.sink.lines).toMatchObject([{ code: 'request_timeout' }]);
  });

  it('within a body that somebody waits for hears 408', async () => {
    const client = await open({ ...times, idleTimeoutMs: 5_000 });
    world.serve = async (request) => {
      await collectBody(request.body, 1_000).catch((thrown) => {
        world.failures.push(thrown);
      });
      await request.respond(headOf(0), new EndlessBody(0));
    };
    client.headers(1, POST, 0);
    await until(() => client.statusOf(1) !== null);
    expect(world.failures).toMatchObject([{ code: 'request_timeout' }]);
    expect(client.resetOf(1)).toBe(0);
  });

  it('in a call of gRPC may be silent for as long as a tunnel, and no longer', async () => {
    const client = await open({ ...times, idleTimeoutMs: 900 });
    world.serve = async (request) => void (await collectBody(request.body, 1_000));
    client.headers(1, { ...POST, 'content-type': 'application/grpc+proto', te: 'trailers' }, 0);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(client.resetOf(1)).toBeNull();
    client.send(FRAME.DATA, 0, 1, Buffer.from('more'));
    await until(() => client.resetOf(1) !== null);
    expect(client.resetOf(1)).toBe(8);
    expect(world.failures).toMatchObject([{ code: 'request_timeout', detail: 'the stream is idle' }]);
  });

  it('to take an answer loses that answer alone, and the body is asked for no more', async () => {
    const client = await open({ ...times, idleTimeoutMs: 400 });
    const body = new EndlessBody();
    world.serve = async (request) => void (await request.respond(headOf(null), body));
    client.headers(1, GET);
    await until(() => client.resetOf(1) !== null);
    expect(client.resetOf(1)).toBe(8);
    expect(body.isCancelled).toBe(true);
    expect(body.given).toBeLessThan(200_000);
    expect(world.failures).toMatchObject([{ code: 'downstream_aborted', detail: 'the workload stopped reading' }]);
    client.send(FRAME.PING, 0, 0, Buffer.from('12345678'));
    await until(() => client.of(FRAME.PING).length === 1);
  });

  it('to read at all loses the connection', async () => {
    const client = await open({ ...times, idleTimeoutMs: 300 });
    world.serve = async (request) => void (await request.respond(headOf(null), new EndlessBody()));
    client.send(FRAME.WINDOW_UPDATE, 0, 0, Buffer.from('7fff0000', 'hex'));
    client.send(FRAME.SETTINGS, 0, 0, Buffer.from('00047fffffff', 'hex'));
    client.headers(1, GET);
    await until(() => client.bodyOf(1).length > 0);
    client.socket.pause();
    await until(() => world.failures.length === 1);
    expect(world.failures).toMatchObject([{ code: 'downstream_aborted' }]);
  });

  it('between two requests is told to go', async () => {
    const client = await open(times);
    client.headers(1, GET);
    await until(() => client.isClosed);
    expect(client.statusOf(1)).toBe('200');
    expect(client.goAway()).toBe(0);
    expect(world.proxy.sink.lines).toEqual([]);
  });
});

it('is never called h2 without TLS: the preface on the proxy port is refused', async () => {
  await open();
  const socket = connect(world.proxy.listener.bound.port, '127.0.0.1');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes));
  await until(() => socket.destroyed || text !== '');
  expect(text).toMatch(/^HTTP\/1\.1 (?:400|505) /);
  socket.destroy();
});
