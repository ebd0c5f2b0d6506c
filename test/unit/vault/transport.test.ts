import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { openTransport, type Transport, type TransportOptions } from '../../../src/vault/transport.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface RawVault {
  readonly transport: Transport;
  readonly requests: string[];
  readonly sockets: Socket[];
}

/** `answer` is called for each request that has arrived whole; these requests have no body. */
async function fixture(
  answer: (socket: Socket, count: number) => void,
  options: Partial<TransportOptions> = {},
): Promise<RawVault> {
  const requests: string[] = [];
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!text.endsWith('\r\n\r\n') && !text.endsWith('}')) return;
      requests.push(text);
      text = '';
      answer(socket, requests.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = openTransport({
    address,
    namespace: null,
    timeoutMs: 15_000,
    maxBodyBytes: 1000,
    ...options,
  });
  closers.push(
    () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
    () => transport.close(),
  );
  return { transport, requests, sockets };
}

const CALL = { method: 'GET', target: '/v1/a?b=c', token: null, index: null, body: null } as const;
const signal = (): AbortSignal => AbortSignal.timeout(60_000);
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';

describe('what is sent', () => {
  it('is one head with the token as its last field, and the body behind it', async () => {
    const { transport, requests, sockets } = await fixture((socket) => socket.write(OK), { namespace: 'team-a' });
    const body = Buffer.from('{"a":1}');
    const token = Secret.copyOf(Buffer.from('hvs.abc'));
    await transport.send({ method: 'POST', target: '/v1/x', token, index: 'aW5k', body }, signal());
    const port = sockets[0]?.localPort;
    expect(requests[0]).toBe(
      `POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nX-Vault-Request: true\r\nX-Vault-Namespace: team-a\r\nX-Vault-Index: aW5k\r\nX-Vault-Inconsistent: forward-active-node\r\nContent-Type: application/json\r\nContent-Length: 7\r\nX-Vault-Token: hvs.abc\r\n\r\n{"a":1}`,
    );
    // It is the caller's to zero.
    expect(body.toString()).toBe('{"a":1}');
  });

  it('is nothing where the token has ended', async () => {
    const { transport, requests } = await fixture((socket) => socket.write(OK));
    const token = Secret.copyOf(Buffer.from('hvs.abc'));
    token.destroy();
    await expect(transport.send({ ...CALL, token }, signal())).rejects.toMatchObject({ code: 'secret_destroyed' });
    expect(requests).toEqual([]);
  });
});

describe('a reply', () => {
  it.each<[string, string]>([
    ['with its length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nRetry-After: 3\r\n\r\n{"a":"b"}'],
    [
      'in chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nRetry-After: 3\r\n\r\n4\r\n{"a"\r\n5\r\n:"b"}\r\n0\r\n\r\n',
    ],
    [
      'after interim ones',
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\nRetry-After: 3\r\n\r\n{"a":"b"}',
    ],
    ['that ends with its connection', 'HTTP/1.1 200 OK\r\nRetry-After: 3\r\n\r\n{"a":"b"}'],
  ])('%s is read whole, in any cut, into a buffer of its own', async (_name, text) => {
    const isClosing = !/Content-Length|chunked/.test(text);
    for (const size of [1, 7, text.length]) {
      const { transport } = await fixture(async (socket) => {
        for (let at = 0; at < text.length; at += size) {
          socket.write(text.slice(at, at + size), 'latin1');
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (isClosing) socket.end();
      });
      const { status, retryAfter, body } = await transport.send(CALL, signal());
      expect({ status, retryAfter, text: body?.toString() }).toEqual({
        status: 200,
        retryAfter: '3',
        text: '{"a":"b"}',
      });
      expect(body?.buffer).not.toBe(Buffer.from('x').buffer);
    }
  });

  it.each<[string, string, string, RegExp]>([
    ['is no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', 'credential_unavailable', /did not answer in HTTP/],
    [
      'switches protocols',
      'HTTP/1.1 101 Switching Protocols\r\n\r\n',
      'credential_unavailable',
      /did not answer in HTTP/,
    ],
    [
      'never ends its interim part',
      'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(11),
      'credential_unavailable',
      /did not answer in HTTP/,
    ],
    ['announces too much', 'HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n', 'credential_invalid', /too large/],
    [
      'brings too much',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}`,
      'credential_invalid',
      /too large/,
    ],
    [
      'is encoded',
      'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx',
      'credential_invalid',
      /encoded/,
    ],
    [
      'has two lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
      'credential_unavailable',
      /did not answer in HTTP/,
    ],
  ])('that %s is refused at once and its connection dropped', async (_name, text, code, detail) => {
    const { transport, sockets } = await fixture((socket) => socket.write(text, 'latin1'));
    await expect(transport.send(CALL, signal())).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) });
    await expect.poll(() => sockets[0]?.destroyed || sockets[0]?.readableEnded).toBe(true);
  });

  it('that is cut short never looks complete', async () => {
    const { transport } = await fixture((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a":'));
    await expect(transport.send(CALL, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: 'the connection to the credential source failed',
    });
  });

  it('of a failure is told by its status, however long its text goes on', async () => {
    const { transport } = await fixture((socket) =>
      socket.write(`HTTP/1.1 503 Sealed\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2000)}\r\n`),
    );
    expect(await transport.send(CALL, signal())).toMatchObject({ status: 503, body: null });
  });
});

describe('connections', () => {
  it('are used again, one call at a time, and at most 16 of them', async () => {
    const { transport, requests, sockets } = await fixture(async (socket) => {
      await delay(5);
      socket.write(OK);
    });
    for (let i = 0; i < 15; i++) await transport.send(CALL, signal());
    expect(sockets.length).toBe(1);
    const replies = await Promise.all(Array.from({ length: 40 }, () => transport.send(CALL, signal())));
    expect(replies.every(({ status }) => status === 200)).toBe(true);
    expect(sockets.length).toBe(16);
    expect(requests.length).toBe(55);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['were closed meanwhile', (socket) => socket.end(OK)],
    [
      'said that they would close',
      (socket) => socket.write(OK.replace('200 OK\r\n', '200 OK\r\nConnection: close\r\n')),
    ],
    ['brought more than was asked for', (socket) => socket.write(`${OK}HTTP/1.1 200 OK\r\n\r\n`)],
  ])('are not used again where they %s', async (_name, answer) => {
    const { transport, sockets } = await fixture(answer);
    for (let i = 0; i < 3; i++) {
      expect((await transport.send(CALL, signal())).body?.toString()).toBe('{}');
      await delay(20);
    }
    expect(sockets.length).toBe(3);
  });

  it('end with the pool, and with them the calls on them and the calls that wait', async () => {
    const { transport, requests } = await fixture(() => {});
    const calls = Array.from({ length: 20 }, () => transport.send(CALL, signal()).catch((thrown: unknown) => thrown));
    await expect.poll(() => requests.length, { timeout: 10_000 }).toBe(16);
    await transport.close();
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ code: 'credential_unavailable' });
    await expect(transport.send(CALL, signal())).rejects.toMatchObject({ code: 'credential_unavailable' });
  });

  it('are not waited for by a call that was given up', async () => {
    const { transport, requests } = await fixture(() => {}, { timeoutMs: 60_000 });
    const calls = Array.from({ length: 16 }, () => transport.send(CALL, signal()).catch((thrown: unknown) => thrown));
    await expect.poll(() => requests.length, { timeout: 10_000 }).toBe(16);
    await expect(transport.send(CALL, AbortSignal.timeout(20))).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
    expect(requests.length).toBe(16);
    await transport.close();
    await Promise.all(calls);
  });

  it('that are all taken count towards the deadline of a try', async () => {
    const { transport } = await fixture(() => {}, { timeoutMs: 100 });
    const calls = Array.from({ length: 17 }, () => transport.send(CALL, signal()).catch((thrown: unknown) => thrown));
    for (const outcome of await Promise.all(calls))
      expect(outcome).toMatchObject({ code: 'credential_unavailable', detail: expect.stringMatching(/ in time$/) });
  });
});
