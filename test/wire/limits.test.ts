/** Every limit that the Proxy document can set, short, on the composed product: what is over it is cut, and said to be. */
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answerRequests, Heard, type LifeWorld, okWith, openLifeWorld, type Secured } from './life-world.ts';
import { until } from './upstream-world.ts';

const LIMITS = `{ requestHeadTimeout: 1s, requestTimeout: 4s, minBodyRate: 1KiB, bodyRateGrace: 1s, idleTimeout: 4s,
    halfOpenTimeout: 1s, maxConnections: 16, maxConnectionsPerWorkload: 12, maxConcurrentPerWorkload: 8,
    maxRequestHead: 4KiB, maxRequestFields: 10, maxRequestTarget: 1KiB, maxRequestTrailers: 1KiB }`;
const UPSTREAM = `responseHeadTimeout: 2s
    idleTimeout: 2s
    connectTimeout: 5s
    maxInterimResponses: 2
    maxRequestsPerConnection: 3
    maxResponseHead: 1KiB`;
const HOST = 'Host: raw.test\r\n';
const PATIENCE_MS = 15_000;

let world: LifeWorld;
beforeAll(async () => {
  world = await openLifeWorld({ limits: LIMITS, upstream: UPSTREAM });
});
afterAll(() => world.close());

const toClose: Secured[] = [];
afterEach(async () => {
  for (const socket of toClose.splice(0)) socket.destroy();
  await world.reset();
  await until(() => world.audit().filter(isIntent).length <= world.audit().filter(isCompletion).length);
});

const isIntent = (line: Readonly<Record<string, unknown>>): boolean => line['kind'] === 'intent';
const isCompletion = (line: Readonly<Record<string, unknown>>): boolean => line['kind'] === 'completion';

async function client(): Promise<{ socket: Secured; heard: Heard }> {
  const socket = await world.tunnel();
  toClose.push(socket);
  return { socket, heard: new Heard(socket) };
}

const silent = (): void => {};

/** A place is free again, at once or soon. */
async function reaches200(): Promise<boolean> {
  for (let i = 0; i < 100; i++) {
    const { socket, text } = await world.connectAnswer('raw.test');
    socket.destroy();
    if (text.startsWith('HTTP/1.1 200 ')) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

describe('time', () => {
  it('requestHeadTimeout: the head of a later request that comes byte by byte', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('first'));
    const { socket, heard } = await client();
    socket.write(`GET /1 HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.text.endsWith('first'));
    const drip = setInterval(() => socket.write('x'), 100);
    socket.write('GET /2 HTTP/1.1\r\nX-Slow: ');
    await until(() => heard.hasEnded, PATIENCE_MS);
    clearInterval(drip);
    expect(heard.text).toMatch(/first[\s\S]*HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/);
  });

  it('requestHeadTimeout: one whose first bytes came with the request before', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('first'));
    const { socket, heard } = await client();
    socket.write(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTT`);
    await until(() => heard.hasEnded, PATIENCE_MS);
    expect(heard.text).toMatch(/first[\s\S]*HTTP\/1\.1 408 /);
  });

  it('minBodyRate: a body that comes slower', async () => {
    world.serve = silent;
    const { socket, heard } = await client();
    const drip = setInterval(() => socket.write('x'), 100);
    socket.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100000\r\n\r\n`);
    await until(() => heard.hasEnded, PATIENCE_MS);
    clearInterval(drip);
    expect(heard.text).toMatch(/^HTTP\/1\.1 408 [\s\S]*the body comes slower than 1024 B\/s/);
    expect(world.upstream.open()).toBe(0);
  });

  it('minBodyRate: not the workload, where it is the upstream that does not read', async () => {
    world.serve = (socket) => {
      socket.removeAllListeners('data');
      socket.pause();
    };
    const { socket, heard } = await client();
    socket.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100000000\r\n\r\n`);
    socket.write(Buffer.alloc(32 * 1024 * 1024));
    await until(() => heard.hasEnded, PATIENCE_MS);
    expect(heard.text).toMatch(/^HTTP\/1\.1 504 [\s\S]*connection_write_timeout/);
  });

  it('requestTimeout: a body that comes fast enough and does not end', async () => {
    world.serve = silent;
    const { socket, heard } = await client();
    const pour = setInterval(() => socket.write(Buffer.alloc(4_096)), 100);
    socket.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100000000\r\n\r\n`);
    await until(() => heard.hasEnded, PATIENCE_MS);
    clearInterval(pour);
    expect(heard.text).toMatch(/^HTTP\/1\.1 408 [\s\S]*the body did not end in time/);
  });

  it('idleTimeout: a tunnel on which nothing is asked', async () => {
    const { heard } = await client();
    await until(() => heard.hasEnded || heard.isClosed, PATIENCE_MS);
    expect(heard.text).toBe('');
  });

  it('idleTimeout: an answer that nobody reads stops the upstream, and then ends it', async () => {
    let written = 0;
    let isStopped = false;
    world.serve = (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]);
        const pour = (): void => {
          while (!socket.destroyed && socket.write(chunk)) written += chunk.length;
          isStopped = true;
          socket.once('drain', pour);
        };
        pour();
      });
    };
    const socket = await world.tunnel();
    toClose.push(socket);
    socket.pause();
    socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => isStopped && world.upstream.open() === 0, PATIENCE_MS);
    expect(written).toBeLessThan(64 * 1024 * 1024);
    await until(() => world.audit().findLast(isCompletion)?.['outcome'] === 'aborted');
  });

  it('halfOpenTimeout: a client that has ended its side waits no longer', async () => {
    let isAsked = false;
    world.serve = (socket) =>
      answerRequests(socket, () => {
        isAsked = true;
        return null;
      });
    const { socket, heard } = await client();
    socket.end(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => isAsked);
    await until(() => heard.isClosed || heard.hasEnded, PATIENCE_MS);
    await until(() => world.audit().findLast(isCompletion)?.['outcome'] === 'aborted');
  });

  it('upstream.responseHeadTimeout and upstream.idleTimeout', async () => {
    world.serve = (socket) =>
      answerRequests(socket, (request) =>
        request.includes('/stall') ? 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf' : null,
      );
    const { socket, heard } = await client();
    socket.write(`GET /never HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.text.includes('http_response_timeout'), PATIENCE_MS);
    expect(heard.text).toMatch(/^HTTP\/1\.1 504 /);
    socket.write(`GET /stall HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.isClosed || heard.hasEnded, PATIENCE_MS);
    expect(heard.text).toMatch(/half$/);
    await until(() => world.audit().findLast(isCompletion)?.['code'] === 'connection_read_timeout');
  });
});

describe('numbers', () => {
  it('maxConnectionsPerWorkload: one more is told so, and comes in when another has gone', async () => {
    const tunnels: Secured[] = [];
    for (let i = 0; i < 12; i++) tunnels.push((await client()).socket);
    const refused = await world.connectAnswer('raw.test');
    expect(refused.text).toMatch(/^HTTP\/1\.1 429 [\s\S]*Retry-After: 1[\s\S]*"code":"connections_limited"/);
    refused.socket.destroy();
    tunnels[0]?.destroy();
    await until(() => world.audit().some((line) => line['code'] === 'connections_limited'));
    expect(await reaches200()).toBe(true);
  });

  it('maxConnections: one more is closed unread', async () => {
    const sockets: { readonly socket: Socket; readonly heard: Heard }[] = [];
    for (let i = 0; i < 24; i++) {
      const socket = world.dial();
      sockets.push({ socket, heard: new Heard(socket) });
    }
    // Those of the tests before may still be closing.
    await until(() => sockets.filter(({ heard }) => heard.isClosed || heard.hasEnded).length >= 8);
    for (const { socket } of sockets) socket.destroy();
    expect(await reaches200()).toBe(true);
  });

  it('maxConcurrentPerWorkload: one more is told so, and comes in when another is done', async () => {
    const release: (() => void)[] = [];
    world.serve = (socket) =>
      answerRequests(socket, (request) => {
        if (!request.includes('/wait')) return okWith('done');
        release.push(() => socket.write(okWith('waited')));
        return null;
      });
    const clients: { readonly socket: Secured; readonly heard: Heard }[] = [];
    for (let i = 0; i < 9; i++) clients.push(await client());
    for (const { socket } of clients.slice(0, 8)) socket.write(`GET /wait HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => release.length === 8);
    const last = clients[8];
    last?.socket.write(`GET /more HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => last?.heard.text.includes('concurrency_limited') === true);
    expect(last?.heard.text).toMatch(/^HTTP\/1\.1 429 /);
    for (const go of release) go();
    await until(() => clients.slice(0, 8).every(({ heard }) => heard.text.endsWith('waited')));
    last?.socket.write(`GET /more HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => last?.heard.text.endsWith('done') === true);
  });

  it('upstream.maxRequestsPerConnection', async () => {
    world.serve = (socket, index) => answerRequests(socket, () => okWith(`<${index}>`));
    const { socket, heard } = await client();
    for (let i = 1; i <= 7; i++) {
      socket.write(`GET /${i} HTTP/1.1\r\n${HOST}\r\n`);
      await until(() => (heard.text.match(/<[0-9]+>/g) ?? []).length === i);
    }
    const used: string[] = heard.text.match(/<[0-9]+>/g) ?? [];
    expect(used.map((each) => used.indexOf(each))).toEqual([0, 0, 0, 3, 3, 3, 6]);
  });

  it('upstream.maxInterimResponses and upstream.maxResponseHead', async () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    const answers = [
      interim.repeat(2) + okWith('few'),
      interim.repeat(3) + okWith('many'),
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_100)}\r\n\r\n`,
    ];
    world.serve = (socket) => answerRequests(socket, () => answers.shift() ?? '');
    const { socket, heard } = await client();
    for (const sign of ['few', 'too many interim responses', 'http_response_header_section_size']) {
      socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      await until(() => heard.text.includes(sign));
    }
  });
});

describe('sizes of a request head', () => {
  const cases: readonly [limit: string, request: string, status: number][] = [
    ['maxRequestHead', `GET / HTTP/1.1\r\n${HOST}X: ${'x'.repeat(4_096)}\r\n\r\n`, 431],
    ['maxRequestFields', `GET / HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(10)}\r\n`, 431],
    ['maxRequestTarget', `GET /${'x'.repeat(1_024)} HTTP/1.1\r\n${HOST}\r\n`, 414],
    [
      'maxRequestTrailers',
      `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ${'x'.repeat(1_024)}\r\n\r\n`,
      431,
    ],
  ];
  it.each(cases)('%s', async (_limit, request, status) => {
    world.serve = silent;
    const { socket, heard } = await client();
    socket.write(request);
    await until(() => heard.hasEnded, PATIENCE_MS);
    expect(heard.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});
