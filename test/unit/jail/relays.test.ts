/** The jail's connections on their way to a proxy, which is a few lines here. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainAddress } from '../../../src/core/ip-address.ts';
import { Relays } from '../../../src/jail/relays.ts';
import { connectHead, proxyAuthorization, readConnectAnswer } from '../../../src/jail/tunnel-head.ts';

const MAX = 3;
let inside: Server;
let proxy: Server;
let relays: Relays;
let heads: string[];
let refused: string[];
/** What the proxy says to the bytes behind the head, once it has answered. */
let serve: (socket: Socket) => void;
let answer: string | null;
const clients: Socket[] = [];

const listen = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

beforeEach(async () => {
  [heads, refused, answer] = [[], [], 'HTTP/1.1 200 Connection established\r\n\r\n'];
  serve = (socket) => socket.pipe(socket);
  proxy = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      heads.push(text.slice(0, text.indexOf('\r\n\r\n') + 4));
      if (answer === null) return;
      socket.write(answer);
      serve(socket);
    });
  });
  inside = createServer();
  relays = new Relays({
    proxyUrl: `http://i-1:cs%2Ftoken@127.0.0.1:${await listen(proxy)}`,
    maxConnections: MAX,
    dialTimeoutMs: 200,
    onRefused: (address, _port, why) => refused.push(`${address}: ${why}`),
  });
  await listen(inside);
  relays.toProxy(inside);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  relays.close();
  proxy.close();
});

function dial(): Socket {
  const client = connect((inside.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  clients.push(client);
  return client;
}

const read = async (client: Socket): Promise<string> => {
  let text = '';
  client.on('data', (bytes: Buffer) => {
    text += bytes;
  });
  await once(client, 'close');
  return text;
};

describe('a connection of the jail', () => {
  it('is carried to the proxy by CONNECT to what it dialled, as the instance, and said to know no proxy', async () => {
    const port = (inside.address() as AddressInfo).port;
    const client = dial();
    client.end('hello');
    expect(await read(client)).toBe('hello');
    expect(heads).toEqual([
      `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nProxy-Authorization: Basic ${Buffer.from('i-1:cs/token').toString('base64')}\r\nCountersign-Way: redirected\r\n\r\n`,
    ]);
    expect(refused).toEqual([]);
    await expect.poll(() => relays.open).toBe(0);
  });

  it('hands on an end of one side as an end, and goes on in the other direction', async () => {
    serve = (socket) => {
      socket.resume();
      socket.once('end', () => socket.end('afterwards'));
    };
    const client = dial();
    client.end('x');
    expect(await read(client)).toBe('afterwards');
  });

  it('carries a megabyte whole', async () => {
    const client = dial();
    const text = 'abcdefgh'.repeat(131_072);
    client.end(text);
    expect((await read(client)) === text).toBe(true);
  });

  it.each<[string, string | null, RegExp]>([
    ['says no', 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', /the proxy answered 407/],
    ['speaks another language', 'SSH-2.0-x\r\n\r\n', /the proxy answered 0/],
    ['says nothing in time', null, /no answer in time/],
    ['does not end its answer', `HTTP/1.1 200 ${'x'.repeat(17_000)}`, /the proxy answered 0/],
  ])('is reset and on record where the proxy %s', async (_what, words, why) => {
    answer = words;
    const client = dial();
    const failed = once(client, 'error');
    client.write('x');
    expect(((await failed)[0] as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(refused).toEqual([expect.stringMatching(why)]);
  });

  it('is reset where there is no proxy', async () => {
    proxy.close();
    const client = dial();
    await once(client, 'error');
    expect(refused).toEqual(['127.0.0.1: ECONNREFUSED']);
  });

  it('is reset unread where there are too many, and others have their place again', async () => {
    const many = Array.from({ length: MAX }, dial);
    await expect.poll(() => relays.open).toBe(MAX);
    const late = dial();
    await once(late, 'error');
    expect(refused).toEqual(['127.0.0.1: too many connections']);
    for (const client of many) client.destroy();
    await expect.poll(() => relays.open).toBe(0);
    const client = dial();
    client.end('again');
    expect(await read(client)).toBe('again');
  });

  it('that is cut inside is cut outside', async () => {
    let cut = false;
    serve = (socket) => socket.resume().once('close', () => (cut = true));
    const client = dial();
    client.write('x');
    await expect.poll(() => heads.length).toBe(1);
    client.resetAndDestroy();
    await expect.poll(() => cut).toBe(true);
    await expect.poll(() => relays.open).toBe(0);
  });
});

describe('a port of the host', () => {
  it('is reached as it is', async () => {
    const service = createServer((socket) => socket.end('service of the host'));
    const port = await listen(service);
    const door = createServer();
    await listen(door);
    relays.toHostPort(door, port);
    const client = connect((door.address() as AddressInfo).port, '127.0.0.1');
    client.end();
    expect(await read(client)).toBe('service of the host');
    service.close();
  });
});

describe('the words to the proxy', () => {
  it('put an IPv6 address into brackets, and take an IPv4 address out of its wrapping', () => {
    expect(connectHead('2001:db8::1', 443, 'Basic x')).toMatch(
      /^CONNECT \[2001:db8::1\]:443 HTTP\/1\.1\r\nHost: \[2001/,
    );
    expect([plainAddress('::ffff:1.2.3.4'), plainAddress('::1')]).toEqual(['1.2.3.4', '::1']);
    expect(proxyAuthorization('http://a:b%40c@h:1')).toBe(`Basic ${Buffer.from('a:b@c').toString('base64')}`);
  });

  it('are answered whole or not yet', () => {
    expect(readConnectAnswer(Buffer.from('HTTP/1.1 200 OK\r\n'))).toBeNull();
    expect(readConnectAnswer(Buffer.from('HTTP/1.1 200 OK\r\n\r\nrest'))).toEqual({
      status: 200,
      rest: Buffer.from('rest'),
    });
    expect(readConnectAnswer(Buffer.from('HTTP/2 200\r\n\r\n'))).toMatchObject({ status: 0 });
  });
});
