import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { HeaderList } from '../../src/core/headers.ts';
import { bodyOf, collectBody } from '../../src/core/message.ts';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import { ask } from './http2-client.ts';
import {
  AUTHORITY,
  bodyWithTrailers,
  EndlessBody,
  echo,
  GET,
  HOST,
  type Http2World,
  headOf,
  openHttp2World,
  POST,
} from './http2-world.ts';
import { openSecure, type Timeouts } from './tunnel-harness.ts';
import { until } from './upstream-world.ts';

let world: Http2World;
const open = async (timeouts: Timeouts = {}): Promise<Http2World> => {
  world = await openHttp2World(timeouts);
  return world;
};
afterEach(() => world.close());

describe('which version is spoken', () => {
  it.each([
    [['h2', 'http/1.1'], null, 'http/1.1'],
    [['h2'], null, 'h2'],
    [['http/1.1'], 'prefer', 'http/1.1'],
    [['http/1.1', 'h2'], 'prefer', 'h2'],
    [['h2', 'http/1.1'], 'require', 'h2'],
    [['h2', 'http/1.1'], 'never', 'http/1.1'],
  ] as const)('of a client that offers %j to a Service that says %s: %s', async (protocols, http2, spoken) => {
    await open({ http2 });
    const secure = await openSecure(world.proxy, AUTHORITY, HOST, [...protocols]);
    expect(secure.alpnProtocol).toBe(spoken);
    secure.destroy();
  });

  it('is none for a client that offers HTTP/2 alone to a Service that never wants it', async () => {
    await open({ http2: 'never' });
    await expect(openSecure(world.proxy, AUTHORITY, HOST, ['h2'])).rejects.toThrow(/alert|closed/);
  });
});

describe('requests on streams', () => {
  it('go through with bodies, and know the fields of HTTP/1.1', async () => {
    await open();
    const lines: string[] = [];
    world.serve = async (request) => {
      lines.push(...[...request.head.headers].map(({ name, value }) => `${name}: ${value}`));
      expect(request.head.version).toBe('2');
      await echo(request);
    };
    const session = await world.session();
    const big = Buffer.alloc(300_000, 'b');
    const answer = await ask(session, { ...POST, 'x-one': '1', cookie: ['a=1', 'b=2'] }, big);
    expect(answer.status).toBe(200);
    expect(answer.body).toBe(big.toString());
    expect(answer.headers['content-length']).toBe('300000');
    expect(lines).toEqual(['host: api.test', 'x-one: 1', 'cookie: a=1; b=2']);
  });

  it('are served beside each other', async () => {
    await open();
    let release = (): void => {};
    const second = new Promise<void>((resolve) => {
      release = resolve;
    });
    world.serve = async (request) => {
      if (request.head.path === '/first') await second;
      else release();
      await echo(request);
    };
    const session = await world.session();
    const first = ask(session, { ...GET, ':path': '/first' });
    expect((await ask(session, { ...GET, ':path': '/second' })).status).toBe(200);
    expect((await first).status).toBe(200);
  });

  it('hear 421 where :authority is not the target of CONNECT, and the others go on', async () => {
    await open();
    const session = await world.session();
    const wrong = await ask(session, { ...GET, ':authority': 'other.test' });
    expect(wrong.status).toBe(421);
    expect(JSON.parse(wrong.body)).toMatchObject({ code: 'authority_mismatch' });
    expect((await ask(session, { ...GET, ':authority': 'API.test:443' })).status).toBe(200);
    expect(world.proxy.seen).toEqual(['GET /']);
    expect(world.proxy.sink.lines).toMatchObject([
      { kind: 'refusal', code: 'authority_mismatch', authority: AUTHORITY },
    ]);
  });

  it.each([
    ['TRACE', { ':method': 'TRACE' }, 501, 'request_method_unsupported'],
    ['a scheme without TLS', { ':scheme': 'http' }, 400, 'request_malformed'],
    ['a path that is none', { ':path': 'nowhere' }, 400, 'request_malformed'],
    ['a path with a fragment', { ':path': '/a#b' }, 400, 'request_malformed'],
    ['a target that is too long', { ':path': `/${'a'.repeat(8_200)}` }, 414, 'request_target_too_long'],
    ['a Host that differs', { host: 'other.test' }, 421, 'authority_mismatch'],
    ['user information', { ':authority': 'me@api.test' }, 400, 'authority_malformed'],
    ['an expectation', { expect: 'miracles' }, 417, 'expectation_failed'],
    ['a name that can be taken for another', { x_api_key: '1' }, 400, 'request_malformed'],
    ['a head that is too large', { 'x-big': 'a'.repeat(16_400) }, 431, 'request_head_too_large'],
  ])('are refused alone: %s', async (_, fields, status, code) => {
    await open();
    const client = await world.frames();
    client.headers(1, { ...GET, ...fields });
    client.headers(3, GET);
    await until(() => client.statusOf(1) !== null && client.statusOf(3) !== null);
    expect([client.statusOf(1), client.statusOf(3)]).toEqual([String(status), '200']);
    expect(world.proxy.seen).toEqual(['GET /']);
    expect(world.proxy.sink.lines).toMatchObject([{ kind: 'refusal', code }]);
  });

  it.each([
    ['an upper-case name', { 'X-One': '1' }],
    ['a field of a connection', { connection: 'close' }],
    ['Transfer-Encoding', { 'transfer-encoding': 'chunked' }],
    ['te that says more', { te: 'gzip' }],
    ['a pseudo field of extended CONNECT', { ':protocol': 'websocket' }],
    ['a length that is no number', { 'content-length': '0x1' }],
    ['a length without its body', { 'content-length': '7' }],
  ])('are reset and on record where they are malformed: %s', async (_, fields) => {
    await open();
    const client = await world.frames();
    client.headers(1, { ...GET, ...fields });
    await until(() => client.resetOf(1) !== null);
    expect(client.resetOf(1)).toBe(1);
    expect(world.proxy.seen).toEqual([]);
    await until(() => world.proxy.sink.lines.length > 0);
    expect(world.proxy.sink.lines).toMatchObject([{ kind: 'refusal', code: 'request_malformed' }]);
  });

  it('are told to continue when somebody waits for the body', async () => {
    await open();
    let isDecided = false;
    world.serve = async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      isDecided = true;
      await echo(request);
    };
    const session = await world.session();
    const stream = session.request({ ...POST, expect: '100-continue' });
    await once(stream, 'continue');
    expect(isDecided).toBe(true);
    stream.end('late');
    const [head] = await once(stream, 'response');
    expect(head[':status']).toBe(200);
  });

  it('have the trailers of their answers, and no connection fields', async () => {
    await open();
    world.serve = async (request) => {
      const body = bodyWithTrailers('text', HeaderList.of(['Grpc-Status', '0']));
      await request.respond(headOf(null, ['Keep-Alive', 'timeout=5'], ['X-One', '1']), body);
    };
    const answer = await ask(await world.session(), GET);
    expect(answer.body).toBe('text');
    expect(answer.trailers['grpc-status']).toBe('0');
    expect(Object.keys(answer.headers)).toEqual([':status', 'x-one']);
  });

  it('abort their exchange where the client resets the stream, and leave the others alone', async () => {
    await open();
    const aborted: string[] = [];
    world.serve = async (request) => {
      if (request.head.path === '/kept') return echo(request);
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve, { once: true }));
      aborted.push(request.head.path);
    };
    const session = await world.session();
    const stream = session.request({ ...GET, ':path': '/left' });
    stream.on('error', () => {});
    await until(() => world.proxy.seen.length === 1);
    stream.close(8);
    await until(() => aborted.length === 1);
    expect((await ask(session, { ...GET, ':path': '/kept' })).status).toBe(200);
  });

  it('never look complete where the answer broke', async () => {
    await open();
    world.serve = async (request) => {
      await request.respond(headOf(10), bodyOf(Buffer.from('short')));
    };
    const session = await world.session();
    await expect(ask(session, GET)).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/);
    expect(world.failures).toMatchObject([{ code: 'internal' }]);
  });
});

describe('flow control', () => {
  it('lets a client send no more than a window of what nobody reads', async () => {
    await open();
    let read = (): void => {};
    const asked = new Promise<void>((resolve) => {
      read = resolve;
    });
    world.serve = async (request) => {
      await asked;
      await echo(request);
    };
    const client = await world.frames();
    client.headers(1, { ...POST, 'content-length': '100000' }, 0);
    for (let sent = 0; sent < 65_000; sent += 13_000) client.send(FRAME.DATA, 0, 1, Buffer.alloc(13_000));
    await until(() => world.proxy.seen.length === 1);
    expect(client.of(FRAME.WINDOW_UPDATE, 1)).toEqual([]);
    read();
    await until(() => client.of(FRAME.WINDOW_UPDATE, 1).length > 0);
    client.send(FRAME.DATA, 0, 1, Buffer.alloc(15_000));
    client.send(FRAME.DATA, 0, 1, Buffer.alloc(10_000));
    client.send(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.alloc(10_000));
    client.send(FRAME.WINDOW_UPDATE, 0, 0, Buffer.from('00100000', 'hex'));
    client.send(FRAME.WINDOW_UPDATE, 0, 1, Buffer.from('00100000', 'hex'));
    await until(() => client.bodyOf(1).length === 100_000);
  });

  it('asks a body for no more than the client takes', async () => {
    await open();
    const body = new EndlessBody();
    world.serve = async (request) => void (await request.respond(headOf(null), body));
    const client = await world.frames([[4, 20_000]]);
    client.headers(1, GET);
    await until(() => client.bodyOf(1).length === 20_000);
    expect(body.given).toBeLessThanOrEqual(20_000 + 16_384);
    client.send(FRAME.WINDOW_UPDATE, 0, 1, Buffer.from('00002710', 'hex'));
    await until(() => client.bodyOf(1).length === 30_000);
    client.send(FRAME.RST_STREAM, 0, 1, Buffer.from('00000008', 'hex'));
    await until(() => body.isCancelled);
    await until(() => world.failures.length === 1);
    expect(world.failures).toMatchObject([{ code: 'downstream_aborted' }]);
  });

  it('gives two answers their turns', async () => {
    await open();
    world.serve = async (request) => void (await request.respond(headOf(null), new EndlessBody(200_000)));
    const client = await world.frames([[4, 1_000_000]]);
    client.send(FRAME.WINDOW_UPDATE, 0, 0, Buffer.from('00100000', 'hex'));
    client.headers(1, GET);
    client.headers(3, GET);
    await until(() => client.bodyOf(1).length > 200_000 && client.bodyOf(3).length > 200_000);
    const order = client.of(FRAME.DATA).map(({ stream }) => stream);
    expect(order.slice(0, 10).filter((stream) => stream === 1).length).toBeGreaterThan(2);
    expect(order.slice(0, 10).filter((stream) => stream === 3).length).toBeGreaterThan(2);
  });
});

describe('the end', () => {
  it('is told before it comes: what is under way is answered, and the client opens no more', async () => {
    await open();
    let answer = (): void => {};
    world.serve = async (request) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      await request.respond(headOf(2), bodyOf(Buffer.from('ok')));
    };
    const session = await world.session();
    const asked = ask(session, GET);
    await until(() => world.proxy.seen.length === 1);
    const goAway = once(session, 'goaway');
    world.proxy.drain();
    await goAway;
    answer();
    expect((await asked).body).toBe('ok');
    await until(() => session.destroyed);
  });

  it('comes soon where nothing is under way', async () => {
    await open();
    const client = await world.frames();
    client.headers(1, GET);
    await until(() => client.statusOf(1) !== null);
    world.proxy.drain();
    await until(() => client.isClosed);
    expect(client.of(FRAME.GOAWAY).map(({ payload }) => payload.readUInt32BE(0))).toEqual([0x7fff_ffff, 1]);
    expect(client.goAway()).toBe(0);
    expect(world.proxy.sink.lines).toEqual([]);
  });

  it('aborts what is under way where the client goes', async () => {
    await open();
    world.serve = async (request) => {
      await collectBody(request.body, 1_000);
    };
    const client = await world.frames();
    client.headers(1, POST, 0);
    await until(() => world.proxy.seen.length === 1);
    client.socket.destroy();
    await until(() => world.failures.length === 1);
    expect(world.failures).toMatchObject([{ code: 'downstream_aborted' }]);
  });
});
