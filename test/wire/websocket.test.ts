/** WebSocket through the composed product: who may, what passes, what is taken out, and what ends it. */
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answerRequests, Heard, type LifeWorld, okWith, openLifeWorld, type Secured } from './life-world.ts';
import { until } from './upstream-world.ts';
import { accepting, acceptSocket, BINARY, CLOSE, frame, KEY, opening, PING, TEXT } from './web-socket-peer.ts';

let world: LifeWorld;
beforeAll(async () => {
  world = await openLifeWorld();
});
afterAll(() => world.close());

const toClose: Secured[] = [];
afterEach(async () => {
  for (const socket of toClose.splice(0)) socket.destroy();
  await world.reset();
});

interface Client {
  readonly socket: Secured;
  readonly heard: Heard;
}

async function client(host = 'raw.test', from = world): Promise<Client> {
  const socket = await from.tunnel(host);
  toClose.push(socket);
  return { socket, heard: new Heard(socket) };
}

/** A client whose WebSocket is open, and the upstream's side of it. */
async function open(
  onBytes?: (bytes: Buffer, socket: Socket) => void,
  from = world,
): Promise<Client & { readonly upstream: Socket }> {
  let upstream: Socket | undefined;
  from.serve = (socket) => {
    upstream = socket;
    acceptSocket(socket, accepting(), (bytes) => onBytes?.(bytes, socket));
  };
  const { socket, heard } = await client('raw.test', from);
  socket.write(opening('raw.test'));
  await until(() => heard.text.includes('\r\n\r\n'));
  expect(heard.text).toMatch(/^HTTP\/1\.1 101 /);
  heard.text = '';
  if (upstream === undefined) throw new Error('no upstream');
  return { socket, heard, upstream };
}

const completion = (from = world): Readonly<Record<string, unknown>> =>
  from.audit().findLast((line) => line['kind'] === 'completion') ?? {};
const completed = async (wanted: Readonly<Record<string, unknown>>, from = world): Promise<void> => {
  const isThere = (): boolean => Object.entries(wanted).every(([name, value]) => completion(from)[name] === value);
  await until(isThere, 8_000).catch(() => expect(completion(from)).toMatchObject(wanted));
};
const text = (bytes: Buffer): string => bytes.toString('latin1');

describe('opening', () => {
  it('goes out with the credential on a connection of its own, offers no extension, and comes back as the upstream said it', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('pooled'));
    const { socket, heard } = await client();
    socket.write('GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n');
    await until(() => heard.text.endsWith('pooled'));
    const before = world.upstream.received.length;
    world.serve = (upstream) => acceptSocket(upstream, accepting('Sec-WebSocket-Protocol: b\r\n'));
    heard.text = '';
    socket.write(
      opening('raw.test', '/ws', 'Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n'),
    );
    await until(() => heard.text.includes('\r\n\r\n'));
    const asked = world.upstream.received[before] ?? '';
    expect(asked).toMatch(/^GET \/ws HTTP\/1\.1\r\n[\s\S]*\r\nAuthorization: Bearer \S+\r\n/);
    expect(asked.match(/^(?:connection|upgrade|sec-websocket-[a-z]+): [^\r]+/gim)?.sort()).toEqual([
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${KEY}`,
      'Sec-WebSocket-Protocol: a, b',
      'Sec-WebSocket-Version: 13',
      'Upgrade: websocket',
    ]);
    expect(heard.text.split('\r\n').filter(Boolean).sort()).toEqual(
      accepting('Sec-WebSocket-Protocol: b\r\n')
        .replace('Connection: upgrade', 'Connection: Upgrade')
        .split('\r\n')
        .filter(Boolean)
        .sort(),
    );
  });

  it('is denied where no rule says so, and the tunnel goes on', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('plain'));
    const { socket, heard } = await client();
    socket.write(opening('raw.test', '/other'));
    await until(() => heard.text.includes('upgrade_denied'));
    expect(heard.text).toMatch(/^HTTP\/1\.1 403 [\s\S]*upgrade: websocket/);
    socket.write(opening('raw.test', '/denied'));
    await until(() => heard.text.includes('rule_denied'));
    socket.write('GET /ws HTTP/1.1\r\nHost: raw.test\r\n\r\n');
    await until(() => heard.text.endsWith('plain'));
  });

  const wrong: readonly [what: string, request: string][] = [
    ['h2c', 'GET /ws HTTP/1.1\r\nHost: raw.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'],
    ['one protocol among others', opening('raw.test').replace('WebSocket', 'websocket, h2c')],
    ['two Upgrade fields', opening('raw.test').replace('Upgrade: WebSocket', 'Upgrade: websocket\r\nUpgrade: h2c')],
    ['Connection without Upgrade', opening('raw.test').replace('keep-alive, Upgrade', 'keep-alive')],
    ['another method', opening('raw.test').replace('GET', 'POST')],
    ['another version', opening('raw.test').replace('Version: 13', 'Version: 8')],
    ['HTTP/1.0', opening('raw.test').replace('HTTP/1.1', 'HTTP/1.0')],
    ['a short key', opening('raw.test').replace(KEY, 'c2hvcnQ=')],
    ['a body', `${opening('raw.test', '/ws', 'Content-Length: 2\r\n')}hi`],
  ]; // biome-ignore format: a table
  it.each(wrong)('is refused, and nothing goes out: %s', async (_what, request) => {
    const before = world.upstream.received.length;
    const { socket, heard } = await client();
    socket.write(request);
    await until(() => heard.hasEnded);
    expect(heard.text).toMatch(/^HTTP\/1\.1 501 [\s\S]*upgrade_unsupported/);
    expect(world.upstream.received).toHaveLength(before);
  });

  const answers: readonly [what: string, answer: string][] = [
    ['200', okWith('hello')],
    ['401', 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno'],
    ['another accept', accepting('', 'AAAAAAAAAAAAAAAAAAAAAA==')],
    ['another protocol', accepting().replace('websocket', 'h2c')],
    ['an extension', accepting('Sec-WebSocket-Extensions: permessage-deflate\r\n')],
    ['a subprotocol that was not offered', accepting('Sec-WebSocket-Protocol: z\r\n')],
  ];
  it.each(answers)('U19: is 502 where the upstream answers %s', async (_what, answer) => {
    world.serve = (socket) => acceptSocket(socket, answer);
    const { socket, heard } = await client();
    socket.write(opening('raw.test', '/ws', 'Sec-WebSocket-Protocol: a\r\n'));
    await until(() => heard.text.includes('http_upgrade_failed'));
    expect(heard.text).toMatch(/^HTTP\/1\.1 502 /);
    await until(() => world.upstream.open() === 0);
    await completed({ outcome: 'failed', code: 'http_upgrade_failed' });
  });
});

describe('frames', () => {
  it('pass both ways as they are, in any cut, and are counted', async () => {
    let up = '';
    const { socket, heard, upstream } = await open((bytes) => {
      up += text(bytes);
    });
    const sent = [
      frame(TEXT, 'question', { isMasked: true }),
      frame(BINARY, Buffer.alloc(70_000, 7), { isMasked: true }),
    ];
    for (const byte of sent[0] ?? []) socket.write(Buffer.of(byte));
    socket.write(sent[1] ?? '');
    const answers = [
      frame(TEXT, 'an'),
      frame(PING, ''),
      frame(TEXT, 'x'.repeat(300)),
      frame(TEXT, 'sw', { isFinal: false }),
      frame(0, 'er'),
    ];
    for (const answer of answers) for (const byte of answer) upstream.write(Buffer.of(byte));
    await until(() => up === text(Buffer.concat(sent)));
    await until(() => heard.text === text(Buffer.concat(answers)));
    const farewell = frame(CLOSE, Buffer.from([3, 232]), { isMasked: true });
    socket.write(farewell);
    await until(() => up.endsWith(text(farewell)));
    upstream.end(frame(CLOSE, Buffer.from([3, 232])));
    await until(() => heard.hasEnded);
    await completed({ outcome: 'completed', status: 101, framesUp: 3, framesDown: 6, ended: 'destination' });
    expect(completion()['bytesUp']).toBe(Buffer.concat([...sent, farewell]).length);
    expect(completion()['responseBytes']).toBe(Buffer.concat(answers).length + 4);
    expect(world.upstream.open()).toBe(0);
  });

  it('that the client sent behind its opening, without waiting for the answer, are not lost', async () => {
    let up = '';
    world.serve = (socket) => acceptSocket(socket, accepting(), (bytes) => (up += text(bytes)));
    const { socket } = await client();
    const early = frame(TEXT, 'early', { isMasked: true });
    socket.write(Buffer.concat([Buffer.from(opening('raw.test')), early]));
    await until(() => up === text(early));
  });

  it('never carry the secret: within one, cut in two, over fragments with a ping between, in a Close; lengths stay', async () => {
    const { heard, upstream } = await open();
    const secret = world.secret();
    expect(secret.length).toBeGreaterThan(12);
    const half = secret.length >> 1;
    const stars = '*'.repeat(secret.length);
    const whole = frame(TEXT, `a ${secret} b`);
    upstream.write(whole.subarray(0, 10));
    await new Promise((resolve) => setTimeout(resolve, 20));
    upstream.write(whole.subarray(10));
    upstream.write(frame(TEXT, `c ${secret.slice(0, half)}`, { isFinal: false }));
    upstream.write(frame(PING, 'ping'));
    upstream.write(frame(0, `${secret.slice(half)} d`));
    upstream.write(frame(TEXT, `e ${secret.slice(0, half)}`));
    upstream.write(frame(BINARY, `f ${Buffer.from(secret).toString('base64')}`));
    upstream.end(frame(CLOSE, Buffer.concat([Buffer.from([3, 232]), Buffer.from(secret.slice(0, 100))])));
    await until(() => heard.hasEnded);
    expect(heard.text).not.toContain(secret);
    expect(heard.text).toContain(text(frame(TEXT, `a ${stars} b`)));
    expect(heard.text).toContain(
      text(frame(TEXT, `c ${stars.slice(0, half)}`, { isFinal: false })) +
        text(frame(PING, 'ping')) +
        text(frame(0, `${stars.slice(half)} d`)),
    );
    // Half of it is no secret, and is not held back beyond the end of its message.
    expect(heard.text).toContain(`e ${secret.slice(0, half)}`);
    expect(heard.text).not.toContain(Buffer.from(secret).toString('base64').slice(2, -4));
    await until(() => Number(completion()['scrubbed']) >= 3);
  });

  const malformed: readonly [who: 'client' | 'upstream', what: string, bytes: Buffer, code: string][] = [
    ['client', 'is not masked', frame(TEXT, 'x'), 'request_malformed'],
    ['client', 'has a reserved bit', frame(TEXT, 'x', { isMasked: true, reserved: 4 }), 'request_malformed'],
    ['client', 'continues nothing', frame(0, 'x', { isMasked: true }), 'request_malformed'],
    ['client', 'is a long ping', frame(PING, 'x'.repeat(126), { isMasked: true }), 'request_malformed'],
    ['upstream', 'is masked', frame(TEXT, 'x', { isMasked: true }), 'http_protocol_error'],
    ['upstream', 'has an unknown opcode', frame(5, 'x'), 'http_protocol_error'],
    ['upstream', 'spells its length in a long way', Buffer.from([0x81, 126, 0, 1, 65]), 'http_protocol_error'],
    ['upstream', 'comes behind a Close', Buffer.concat([frame(CLOSE, ''), frame(TEXT, 'x')]), 'http_protocol_error'],
  ]; // biome-ignore format: a table
  it.each(malformed)('of the %s that %s end both sides', async (who, _what, bytes, code) => {
    const { socket, heard, upstream } = await open();
    (who === 'client' ? socket : upstream).write(bytes);
    await until(() => heard.isClosed || heard.hasEnded);
    await until(() => world.upstream.open() === 0);
    await completed({ outcome: 'failed', code, status: 101 });
  });

  it('stop at the upstream where the client does not read, and all arrive when it does', async () => {
    let written = 0;
    let isStopped = false;
    const { socket, heard, upstream } = await open();
    socket.pause();
    const total = 600;
    const big = frame(BINARY, Buffer.alloc(65_536));
    const pour = (): void => {
      while (written < total) {
        written += 1;
        if (!upstream.write(big)) break;
      }
      if (written < total) upstream.once('drain', pour);
    };
    pour();
    let last = -1;
    await until(() => {
      isStopped = written === last && upstream.writableNeedDrain;
      last = written;
      return isStopped;
    }, 8_000);
    expect(written).toBeLessThan(total);
    let got = 0;
    socket.removeAllListeners('data');
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    socket.resume();
    await until(() => got === total * big.length, 15_000);
    expect(heard.isClosed).toBe(false);
  });
});

describe('the end', () => {
  it('a client that is gone closes the upstream', async () => {
    for (const leave of [(socket: Secured) => socket.destroy(), (socket: Secured) => socket.raw.resetAndDestroy()]) {
      const { socket } = await open();
      expect(world.upstream.open()).toBe(1);
      leave(socket);
      await until(() => world.upstream.open() === 0);
    }
  });

  it('an upstream that is gone closes the client', async () => {
    const { heard, upstream } = await open();
    upstream.destroy();
    await until(() => heard.hasEnded || heard.isClosed);
    await completed({ ended: 'destination' });
  });

  it('within a frame is told as a failure', async () => {
    const { heard, upstream } = await open();
    upstream.end(frame(TEXT, 'half of it').subarray(0, 6));
    await until(() => heard.hasEnded || heard.isClosed);
    await completed({ outcome: 'failed', code: 'http_protocol_error' });
  });

  it('of the instance ends it at once', async () => {
    const instance = await world.proxy.createInstance({ workload: 'ai-agent', ttlMs: 60_000 });
    world.serve = (socket) => acceptSocket(socket, accepting());
    const socket = await world.tunnel('raw.test', instance);
    const heard = new Heard(socket);
    socket.write(opening('raw.test'));
    await until(() => heard.text.includes('\r\n\r\n'));
    await world.proxy.endInstance(instance.id);
    await until(() => heard.hasEnded || heard.isClosed);
    await until(() => world.upstream.open() === 0);
  });

  it('a connection that was a WebSocket serves nobody else', async () => {
    const { socket, heard, upstream } = await open();
    upstream.end(frame(CLOSE, ''));
    await until(() => heard.hasEnded);
    socket.destroy();
    const before = world.upstream.received.length;
    world.serve = (next) => answerRequests(next, () => okWith('fresh'));
    const other = await client();
    other.socket.write('GET /x HTTP/1.1\r\nHost: raw.test\r\n\r\n');
    await until(() => other.heard.text.endsWith('fresh'));
    expect(world.upstream.received).toHaveLength(before + 1);
  });
});

describe('limits', () => {
  const ends: readonly [limits: string, why: string][] = [
    ['{ webSocketLifetime: 1s }', 'lifetime'],
    ['{ webSocketIdleTimeout: 1s }', 'idle'],
  ];
  it.each(ends)('%s: a Close frame says %s, and both sides are closed', async (limits, why) => {
    const short = await openLifeWorld({ limits });
    try {
      const { socket, heard } = await open(undefined, short);
      // Something moves: only the lifetime ends this one.
      const talk =
        why === 'lifetime' ? setInterval(() => socket.write(frame(PING, '', { isMasked: true })), 50) : undefined;
      await until(() => heard.hasEnded, 10_000);
      clearInterval(talk);
      const said = `countersign: ${why}`;
      expect(heard.text).toBe(text(frame(CLOSE, Buffer.concat([Buffer.from([0x03, 0xe9]), Buffer.from(said)]))));
      await until(() => short.upstream.open() === 0);
      await completed({ outcome: 'completed', ended: why }, short);
    } finally {
      await short.close();
    }
  });

  it('a drain says so, and does not wait for it', async () => {
    const short = await openLifeWorld({ limits: '{ drainTimeout: 1h }' });
    let isClosed = false;
    try {
      const { heard } = await open(undefined, short);
      const closing = short.proxy.close().then(() => {
        isClosed = true;
      });
      await until(() => heard.hasEnded);
      expect(heard.text).toContain('countersign: drain');
      await closing;
    } finally {
      await short.close();
    }
    expect(isClosed).toBe(true);
  });
});
