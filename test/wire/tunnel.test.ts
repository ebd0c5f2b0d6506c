import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientHello } from './client-hello.ts';
import { openConnect, openSecure, openTunnelProxy, rawExchange, readAll, type TunnelProxy } from './tunnel-harness.ts';

let proxy: TunnelProxy;
beforeEach(async () => {
  proxy = await openTunnelProxy();
});
afterEach(() => proxy.close());

const HOST = 'Host: api.openai.com\r\n';
const refusals = () => proxy.sink.lines.filter((line) => line['kind'] === 'refusal').map((line) => line['code']);

describe('a tunnel', () => {
  it('carries request after request, each answered in order', async () => {
    const secure = await openSecure(proxy, 'api.openai.com:443');
    expect(secure.getPeerCertificate().subjectaltname).toBe('DNS:api.openai.com');
    expect(secure.alpnProtocol).toBe('http/1.1');
    const answers = readAll(secure, (text) => text.endsWith('three'));
    secure.write(`POST /1 HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\none`);
    secure.write(
      `POST /2 HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\nPOST /3 HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nthree`,
    );
    expect((await answers).match(/one|two|three/g)).toEqual(['one', 'two', 'three']);
    expect(proxy.seen).toEqual(['POST /1 one', 'POST /2 two', 'POST /3 three']);
    secure.destroy();
  });

  it('takes a ClientHello that came with the CONNECT', async () => {
    const socket = connect(proxy.listener.bound.port, '127.0.0.1');
    const hello = await clientHello('api.openai.com');
    socket.write(
      Buffer.concat([Buffer.from('CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n'), hello]),
    );
    const answer = await readAll(socket, (text) => text.includes('\x16\x03\x03'));
    expect(answer.slice(answer.indexOf('\r\n\r\n') + 4).startsWith('\x16\x03\x03')).toBe(true);
    socket.destroy();
  });

  it('answers Expect: 100-continue only when the exchange says so', async () => {
    const secure = await openSecure(proxy, 'api.openai.com:443');
    secure.write(`POST /up HTTP/1.1\r\n${HOST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n`);
    expect(await readAll(secure, (text) => text.endsWith('\r\n\r\n'))).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const rest = readAll(secure, (text) => text.endsWith('ok'));
    secure.write('ok');
    expect(await rest).toMatch(/^HTTP\/1\.1 200 OK/);
    secure.destroy();
  });

  it('is closed by HTTP/1.0 and by Connection: close', async () => {
    for (const request of [`GET / HTTP/1.0\r\n${HOST}\r\n`, `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`]) {
      const secure = await openSecure(proxy, 'api.openai.com:443');
      secure.write(request);
      expect(await readAll(secure)).toContain('Connection: close');
    }
  });

  it('says of a client that left the handshake that it may not trust the CA', async () => {
    const { socket } = await openConnect(proxy, 'api.openai.com:443');
    const stranger = connectTls({ socket, servername: 'api.openai.com', ca: [] });
    await new Promise((resolve) => stranger.once('error', resolve));
    await expect
      .poll(() => proxy.sink.lines.at(-1))
      .toMatchObject({
        kind: 'refusal',
        code: 'tls_handshake_failed',
        detail: expect.stringContaining('trust the CA'),
      });
  });

  it('takes no TLS before 1.2', async () => {
    const { socket } = await openConnect(proxy, 'api.openai.com:443');
    const old = connectTls({
      socket,
      servername: 'api.openai.com',
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await new Promise((resolve) => old.once('error', resolve));
    await expect.poll(() => proxy.sink.lines.at(-1)).toMatchObject({ kind: 'refusal', code: 'tls_handshake_failed' });
  });

  it('resumes no TLS session, which would skip the check of the name', async () => {
    const first = await openSecure(proxy, 'api.openai.com:443');
    first.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await readAll(first, (text) => text.includes('\r\n\r\n'));
    const session = first.getSession();
    first.destroy();
    const { socket } = await openConnect(proxy, 'api.anthropic.com:443');
    const second = connectTls({
      socket,
      servername: 'api.anthropic.com',
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    await new Promise((resolve) => second.once('secureConnect', resolve));
    expect(second.isSessionReused()).toBe(false);
    expect(second.getPeerCertificate().subjectaltname).toBe('DNS:api.anthropic.com');
    second.destroy();
  });
});

describe('where CONNECT, server name and Host differ', () => {
  it('the handshake fails on another server name', async () => {
    await expect(openSecure(proxy, 'api.openai.com:443', 'evil.example')).rejects.toThrow();
    await expect.poll(refusals).toEqual(['authority_mismatch']);
  });

  it('the tunnel ends where no server is named', async () => {
    const { socket } = await openConnect(proxy, 'api.openai.com:443');
    const secure = connectTls({ socket, rejectUnauthorized: false, servername: '' });
    secure.on('error', () => {});
    await readAll(secure);
    await expect.poll(refusals).toEqual(['authority_mismatch']);
  });

  it.each([['evil.example'], ['api.openai.com:8443'], ['api.openai.com.evil.example']])(
    'Host: %s gets 421 and the connection ends',
    async (host) => {
      const secure = await openSecure(proxy, 'api.openai.com:443');
      secure.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /second HTTP/1.1\r\n${HOST}\r\n`);
      const answer = await readAll(secure);
      expect(answer).toMatch(/^HTTP\/1\.1 421 /);
      expect(answer).toContain('Proxy-Status: countersign; error=http_request_error; details="authority_mismatch"');
      expect(proxy.seen).toEqual([]);
    },
  );

  it('also on the second request of a connection', async () => {
    const secure = await openSecure(proxy, 'api.openai.com:443');
    secure.write(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    expect(await readAll(secure)).toMatch(/HTTP\/1\.1 200 OK[\s\S]*HTTP\/1\.1 421 /);
    expect(proxy.seen).toEqual(['GET /1 ']);
  });

  it('spelling does not count: case, final dot and the default port are the same host', async () => {
    for (const host of ['API.OpenAI.com', 'api.openai.com.', 'api.openai.com:443']) {
      const secure = await openSecure(proxy, 'api.openai.com:443');
      secure.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(await readAll(secure)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });
});

describe('what is refused', () => {
  it.each<[string, string, number]>([
    ['origin-form on the proxy port', `GET / HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['https in absolute-form', `GET https://api.openai.com/ HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['a CONNECT without port', 'CONNECT api.openai.com HTTP/1.1\r\nHost: api.openai.com\r\n\r\n', 400],
    ['a CONNECT whose Host differs', 'CONNECT api.openai.com:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
    ['a wrong token', `CONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}Proxy-Authorization: Bearer wrong\r\n\r\n`, 407],
    [
      'two Proxy-Authorization fields',
      `CONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}Proxy-Authorization: Bearer a\r\nProxy-Authorization: Bearer b\r\n\r\n`,
      400,
    ],
    ['a forbidden host', 'CONNECT forbidden.example:443 HTTP/1.1\r\nHost: forbidden.example:443\r\n\r\n', 403],
    ['a TLS ClientHello without CONNECT', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n', 400],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    // Whoever may say where a connection comes from could say that it is somebody else's.
    [
      'a PROXY header of version 1',
      `PROXY TCP4 127.0.0.1 127.0.0.1 50000 10080\r\nCONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}\r\n`,
      400,
    ],
    [
      'a PROXY header of version 1 that says nothing',
      `PROXY UNKNOWN\r\nCONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}\r\n`,
      505,
    ],
    [
      'a PROXY header of version 2',
      `\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\xc3\x50\x27\x60CONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}\r\n`,
      400,
    ],
  ])('%s', async (_name, bytes, status) => {
    const answer = await rawExchange(proxy, Buffer.from(bytes, 'latin1'));
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('Connection: close');
    expect(refusals()).toHaveLength(1);
    expect(proxy.seen).toEqual([]);
  });

  it('plain bytes after CONNECT, whether they came with it or later', async () => {
    const early = await rawExchange(
      proxy,
      `CONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    );
    expect(early).not.toContain('200 OK');
    const { socket } = await openConnect(proxy, 'api.openai.com:443');
    socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    expect(await readAll(socket)).toBe('');
    expect(proxy.seen).toEqual([]);
    await expect.poll(refusals).toEqual(['request_malformed', 'request_malformed']);
  });

  it.each<[string, string, number]>([
    ['CONNECT inside a tunnel', 'CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n', 400],
    ['absolute-form inside a tunnel', `GET https://api.openai.com/ HTTP/1.1\r\n${HOST}\r\n`, 400],
    [
      'h2c',
      `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
      501,
    ],
    ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`, 501],
    ['both lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ])('%s', async (_name, bytes, status) => {
    const secure = await openSecure(proxy, 'api.openai.com:443');
    secure.write(bytes);
    expect(await readAll(secure)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(proxy.seen).toEqual([]);
  });

  it('a stranger is told nothing but the status', async () => {
    const answer = await rawExchange(
      proxy,
      `CONNECT api.openai.com:443 HTTP/1.1\r\n${HOST}Proxy-Authorization: Bearer wrong\r\n\r\n`,
    );
    expect(answer).toContain('Content-Length: 0');
    expect(answer).toContain('Proxy-Authenticate: Basic realm="countersign"');
  });
});

describe('time', () => {
  it('a head that does not end is cut', async () => {
    await proxy.close();
    proxy = await openTunnelProxy({ headDeadlineMs: 100 });
    const answer = await rawExchange(proxy, 'CONNECT api.openai.com:443 HT');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('a handshake that does not come or does not end is cut', async () => {
    await proxy.close();
    proxy = await openTunnelProxy({ tlsHandshakeTimeoutMs: 100 });
    const { socket } = await openConnect(proxy, 'api.openai.com:443');
    expect(await readAll(socket)).toBe('');
    const { socket: second } = await openConnect(proxy, 'api.openai.com:443');
    second.write(Buffer.from([0x16, 3, 1]));
    expect(await readAll(second)).toBe('');
    await expect.poll(refusals).toEqual(['request_timeout', 'request_timeout']);
  });

  it('an idle tunnel is closed without a word', async () => {
    await proxy.close();
    proxy = await openTunnelProxy({ idleTimeoutMs: 100 });
    const secure = await openSecure(proxy, 'api.openai.com:443');
    expect(await readAll(secure)).toBe('');
    expect(refusals()).toEqual([]);
  });

  it('the signal of a request aborts when the client goes', async () => {
    await proxy.close();
    let aborted: (() => void) | undefined;
    const wasAborted = new Promise<void>((resolve) => {
      aborted = resolve;
    });
    proxy = await openTunnelProxy({}, async (request) => {
      request.signal.addEventListener('abort', () => aborted?.());
      await wasAborted;
    });
    const secure = await openSecure(proxy, 'api.openai.com:443');
    secure.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    setTimeout(() => secure.destroy(), 50);
    await wasAborted;
  });
});
