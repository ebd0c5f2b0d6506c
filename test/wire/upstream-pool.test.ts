import type { Socket } from 'node:net';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { EgressError } from '../../src/core/errors.ts';
import type { UpstreamOptions } from '../../src/upstream/options.ts';
import { createUpstreamStage } from '../../src/upstream/send.ts';
import type { UpstreamResponse, UpstreamStage } from '../../src/upstream/upstream-response.ts';
import {
  answering,
  clock,
  never,
  OK,
  optionsFor,
  type RawServer,
  type RequestFixture,
  rawServer,
  requestOf,
  SECRET,
  TestCa,
  textOf,
  until,
  writtenHeads,
} from './upstream-world.ts';

const ca = new TestCa('upstream roots');
const good = ca.leaf('DNS:api.test');
const toClose: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0)) await close();
});
afterAll(() => ca.remove());

/** Real timers, and a monotonic time that a test can move on. */
function shiftedClock(): Clock & { shift(ms: number): void } {
  let shiftedMs = 0;
  return {
    ...clock,
    monotonicMs: () => performance.now() + shiftedMs,
    shift: (ms) => {
      shiftedMs += ms;
    },
  };
}

interface World {
  readonly server: RawServer;
  readonly stage: UpstreamStage;
  readonly time: ReturnType<typeof shiftedClock>;
}

async function world(
  serve: (socket: Socket, index: number) => void,
  { isPlain = false, ...more }: Partial<UpstreamOptions> & { isPlain?: boolean } = {},
): Promise<World> {
  const server = await rawServer(isPlain ? null : good, serve);
  const time = shiftedClock();
  const stage = createUpstreamStage(optionsFor(server.port, { extraRoots: [ca.cert], ...more }), {
    clock: time,
    issuingCa: null,
  });
  toClose.push(
    () => stage.close(),
    () => server.close(),
  );
  return { server, stage, time };
}

const get = async (
  stage: UpstreamStage,
  fixture: RequestFixture = {},
): Promise<UpstreamResponse & { text: string }> => {
  const response = await stage.send(requestOf(fixture), never());
  return { ...response, text: await textOf(response.body) };
};

const plain: RequestFixture = { host: 'plain.test', port: 80, scheme: 'http', credentialKey: null };

describe('reuse', () => {
  it('uses one connection for one exchange after the other', async () => {
    const { server, stage } = await world(answering(OK));
    expect((await get(stage)).reusedConnection).toBe(false);
    expect((await get(stage)).reusedConnection).toBe(true);
    expect((await get(stage, { method: 'POST', body: Buffer.from('x') })).reusedConnection).toBe(true);
    expect(server.received).toHaveLength(1);
  });

  it.each(['GET', 'HEAD', 'OPTIONS'])(
    'carries nothing behind a %s with a body, which the server may take for a request',
    async (method) => {
      const { server, stage } = await world(answering(OK));
      expect(
        (await get(stage, { method, body: Buffer.from('GET /forbidden HTTP/1.1\r\n\r\n') })).reusedConnection,
      ).toBe(false);
      expect((await get(stage)).reusedConnection).toBe(false);
      expect(server.received).toHaveLength(2);
    },
  );

  it('reuses after chunks, no body, HEAD and 304 as well', async () => {
    const { server, stage } = await world(
      answering(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n',
        'HTTP/1.1 204 No Content\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n',
        'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n',
        OK,
      ),
    );
    const first = await get(stage);
    expect(first.body.trailers?.get('x-sum')).toBe('1');
    for (const method of ['GET', 'HEAD', 'GET', 'GET']) await get(stage, { method });
    expect(server.received).toHaveLength(1);
  });

  it('gives the connection back although the reader stops at the last byte of a known length', async () => {
    const { server, stage } = await world(answering(OK));
    const { body } = await stage.send(requestOf(), never());
    expect((await body.read())?.toString()).toBe('hi');
    await until(() => true);
    expect((await get(stage)).reusedConnection).toBe(true);
    expect(server.received).toHaveLength(1);
  });

  it('shares a connection with nobody: not another workload, instance, credential or destination (I8)', async () => {
    const { server, stage } = await world(answering(OK));
    await get(stage);
    const others: RequestFixture[] = [
      { workload: 'other' },
      { instance: 'i-1' },
      { credentialKey: 'lease-2' },
      { credentialKey: null },
      { workload: 'agent\0', instance: null },
    ];
    for (const fixture of others) expect((await get(stage, fixture)).reusedConnection).toBe(false);
    expect(server.received).toHaveLength(1 + others.length);
    expect((await get(stage)).reusedConnection).toBe(true);
  });

  it('puts one request at a time on a connection, and uses the last one first', async () => {
    const { server, stage } = await world((socket) => {
      socket.on('data', () => setTimeout(() => socket.write(OK), 20));
    });
    const all = await Promise.all([get(stage), get(stage), get(stage)]);
    expect(all.map(({ text }) => text)).toEqual(['hi', 'hi', 'hi']);
    expect(server.received).toHaveLength(3);
    for (let i = 0; i < 3; i++) await get(stage);
    const counts = server.received.map((text) => text.split('HTTP/1.1').length - 1).sort();
    expect(counts).toEqual([1, 1, 4]);
  });

  const last: readonly [name: string, answer: string][] = [
    ['Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi'],
    ['extra bytes (U20)', `${OK}x`],
    ['a second answer at once (U20)', `${OK}${OK}`],
    ['a hint of one second', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=5\r\nContent-Length: 2\r\n\r\nhi'],
  ];
  it.each(last)('does not use a connection again after %s', async (_name, answer) => {
    const { server, stage } = await world(answering(answer, OK));
    expect((await get(stage)).text).toBe('hi');
    expect((await get(stage)).reusedConnection).toBe(false);
    expect(server.received).toHaveLength(2);
  });

  it('destroys an idle connection at the first byte that nobody asked for, whole answer or not', async () => {
    for (const poison of ['H', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison']) {
      const { server, stage } = await world((socket, index) => {
        socket.on('data', () => {
          socket.write(OK);
          if (index === 0) setTimeout(() => socket.write(poison), 20);
        });
      });
      await get(stage);
      await new Promise((resolve) => setTimeout(resolve, 60));
      const second = await get(stage);
      expect(second.text).toBe('hi');
      expect(second.reusedConnection).toBe(false);
      await until(() => server.open() === 1);
    }
  });

  it('is not fooled by an answer that comes together with the next request', async () => {
    // The poison waits in our socket unread when the next request would be written.
    const { server, stage } = await world((socket, index) => {
      socket.on('data', () => {
        socket.write(OK);
        if (index === 0) setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'), 20);
      });
    });
    await get(stage);
    const end = performance.now() + 50;
    while (performance.now() < end) {
      // The loop stands still, as under load.
    }
    const second = await get(stage);
    expect([second.text, server.received.length]).toEqual(['hi', 2]);
  });

  it('lets a connection go that was idle too long: 4 s for POST, 30 s for GET, the hint less a second', async () => {
    const { stage, time } = await world(answering(OK));
    await get(stage);
    time.shift(3_900);
    expect((await get(stage, { method: 'POST', body: Buffer.from('x') })).reusedConnection).toBe(true);
    time.shift(4_000);
    expect((await get(stage, { method: 'POST', body: Buffer.from('x') })).reusedConnection).toBe(false);
    time.shift(29_900);
    expect((await get(stage)).reusedConnection).toBe(true);
    time.shift(30_000);
    expect((await get(stage)).reusedConnection).toBe(false);
    const hinted = await world(answering(OK.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=5\r\n\r\n')));
    await get(hinted.stage);
    hinted.time.shift(3_900);
    expect((await get(hinted.stage)).reusedConnection).toBe(true);
    hinted.time.shift(4_000);
    expect((await get(hinted.stage)).reusedConnection).toBe(false);
  });

  it('closes what is idle too long without being asked', async () => {
    const { server, stage, time } = await world(answering(OK));
    await get(stage);
    time.shift(30_000);
    await until(() => server.open() === 0);
  });

  it('ends a connection after its last request', async () => {
    const { server, stage } = await world(answering(OK), { maxRequestsPerConnection: 2 });
    for (let i = 0; i < 5; i++) await get(stage);
    expect(server.received).toHaveLength(3);
  });
});

describe('a connection that was closed under a request (U8)', () => {
  /** Answers the first request of each connection, and resets at the second. */
  const resetsAtSecond = (socket: Socket, index: number): void => {
    let count = 0;
    socket.on('data', () => {
      count += 1;
      if (index === 0 && count === 2) socket.resetAndDestroy();
      else socket.write(OK);
    });
  };

  it('sends GET, HEAD and OPTIONS once more on a fresh connection', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const { server, stage } = await world(resetsAtSecond, { isPlain: true });
      await get(stage, plain);
      const second = await get(stage, { ...plain, method });
      expect([second.head.status, second.reusedConnection]).toEqual([200, false]);
      expect(server.received).toHaveLength(2);
    }
  });

  it('never sends POST, PUT or DELETE twice', async () => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const { server, stage } = await world(resetsAtSecond, { isPlain: true });
      await get(stage, plain);
      const body = method === 'DELETE' ? null : Buffer.from('x');
      await expect(stage.send(requestOf({ ...plain, method, body }), never())).rejects.toMatchObject({
        code: 'connection_terminated',
      });
      expect(server.received).toHaveLength(1);
    }
  });

  it('sends a POST over a fresh connection where the close was seen before anything was written', async () => {
    const { server, stage } = await world((socket, index) => {
      socket.on('data', () => (index === 0 ? socket.end(OK) : socket.write(OK)));
    });
    await get(stage);
    await until(() => server.open() === 0);
    expect((await get(stage, { method: 'POST', body: Buffer.from('x') })).head.status).toBe(200);
    expect(server.received.join('').match(/POST/g)).toHaveLength(1);
  });

  it('tries once more and not twice, and not after a byte of an answer', async () => {
    const always = await world(
      (socket, index) => {
        let count = 0;
        socket.on('data', () => (index === 0 && count++ === 0 ? socket.write(OK) : socket.resetAndDestroy()));
      },
      { isPlain: true },
    );
    await get(always.stage, plain);
    await expect(always.stage.send(requestOf(plain), never())).rejects.toMatchObject({ code: 'connection_terminated' });
    expect(always.server.received).toHaveLength(2);
    const half = await world(
      (socket) => {
        let count = 0;
        socket.on('data', () => (count++ === 0 ? socket.write(OK) : socket.end('HTTP/1.1 2')));
      },
      { isPlain: true },
    );
    await get(half.stage, plain);
    await expect(half.stage.send(requestOf(plain), never())).rejects.toMatchObject({ code: 'connection_terminated' });
    expect(half.server.received).toHaveLength(1);
  });
});

describe('limits and ends', () => {
  it('lets a workload have no more connections than its share, and others theirs (U4)', async () => {
    const { server, stage } = await world(() => {}, { maxConnectionsPerWorkload: 2 });
    const gone = new AbortController();
    const pending = [0, 1].map(() => stage.send(requestOf(), gone.signal).catch((error: unknown) => error));
    await until(() => server.received.filter((text) => text !== '').length === 2);
    await expect(stage.send(requestOf(), never())).rejects.toMatchObject({ code: 'connection_limit_reached' });
    const other = stage.send(requestOf({ workload: 'other' }), gone.signal).catch((error: unknown) => error);
    await until(() => server.received.length === 3);
    gone.abort(new EgressError('downstream_aborted'));
    for (const result of await Promise.all([...pending, other]))
      expect(result).toMatchObject({ code: 'downstream_aborted' });
  });

  it('queues for a moment, then takes the connection that became free or makes room for its own', async () => {
    const { server, stage } = await world(
      (socket) => {
        socket.on('data', () => setTimeout(() => socket.write(OK), 50));
      },
      { maxConnectionsPerWorkload: 1 },
    );
    const all = await Promise.all([get(stage), get(stage), get(stage, { credentialKey: 'lease-2' }), get(stage)]);
    expect(all.map(({ text }) => text)).toEqual(['hi', 'hi', 'hi', 'hi']);
    expect(server.open()).toBeLessThanOrEqual(1);
  });

  it('gives its place back when dialling fails or the workload leaves the queue', async () => {
    const { stage } = await world((socket) => socket.destroy(), { maxConnectionsPerWorkload: 1, isPlain: true });
    for (let i = 0; i < 3; i++)
      await expect(stage.send(requestOf(), never())).rejects.toMatchObject({ code: 'connection_terminated' });
    const quiet = await world(() => {}, { maxConnectionsPerWorkload: 1 });
    const [first, second] = [new AbortController(), new AbortController()];
    const pending = quiet.stage.send(requestOf(), first.signal).catch(() => null);
    await until(() => quiet.server.received.length === 1);
    const queued = quiet.stage.send(requestOf(), second.signal);
    setTimeout(() => second.abort(new EgressError('downstream_aborted')), 20);
    await expect(queued).rejects.toMatchObject({ code: 'downstream_aborted' });
    first.abort();
    await pending;
    const third = quiet.stage.send(requestOf(), AbortSignal.timeout(300)).catch(() => null);
    await until(() => quiet.server.received.length === 2);
    await third;
  });

  it('forgets the connections of a credential: idle ones at once, busy ones after their exchange', async () => {
    const { server, stage } = await world((socket) => {
      socket.on('data', () => setTimeout(() => socket.write(OK), 20));
    });
    await Promise.all([get(stage), get(stage, { credentialKey: 'lease-2' })]);
    const busy = get(stage);
    await until(() => server.received[0]?.split('GET').length === 3 || server.received[1]?.split('GET').length === 3);
    stage.forget('lease-1');
    expect((await busy).text).toBe('hi');
    await until(() => server.open() === 1);
    expect((await get(stage, { credentialKey: 'lease-2' })).reusedConnection).toBe(true);
  });

  it('closes everything, and dials nothing afterwards', async () => {
    const { server, stage } = await world(answering(OK));
    await get(stage);
    stage.close();
    await until(() => server.open() === 0);
    await expect(stage.send(requestOf(), never())).rejects.toMatchObject({ code: 'draining' });
  });

  it('zeroes the bytes of the credential once they are written, also where writing failed', async () => {
    const { server, stage } = await world(answering(OK));
    writtenHeads.length = 0;
    await get(stage);
    await get(stage, { method: 'POST', body: Buffer.from('payload') });
    await until(() => writtenHeads.every((head) => !head.includes(SECRET)), 500);
    expect(server.received[0]?.split(SECRET)).toHaveLength(3);
    const silent = await world((socket) => socket.destroy(), {});
    await stage.send(requestOf(), never()).catch(() => null);
    await silent.stage.send(requestOf({ method: 'POST', body: Buffer.from('x') }), never()).catch(() => null);
    await until(() => writtenHeads.every((head) => !head.includes(SECRET)), 500);
    expect(writtenHeads.length).toBeGreaterThanOrEqual(3);
  });

  it('keeps no process alive with an idle connection', async () => {
    const { stage } = await world(answering(OK));
    await get(stage);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const kept = process
      .getActiveResourcesInfo()
      .filter((name) => name === 'TLSSocketWrap' || name === 'TCPSocketWrap');
    // The server's end of it is here too; ours would make two.
    expect(kept.length).toBeLessThanOrEqual(1);
  });
});
