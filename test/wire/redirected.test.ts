/** Connections of clients that know no proxy: as the kernel redirects them, and as a relay hands them on. */
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/listener/connection.ts';
import type { DownstreamRequest } from '../../src/tunnel/tunnel.ts';
import { openConnect, openTunnelProxy, readAll, secureInside, type TunnelProxy } from './tunnel-harness.ts';

const HOST = 'api.openai.com';
const REDIRECTED: Partial<Connection> = { way: 'redirected', original: { address: '203.0.113.7', port: 443 } };
const RELAY = 'Countersign-Way: redirected\r\nProxy-Authorization: Bearer right\r\n';

let proxy: TunnelProxy;
const asked: DownstreamRequest[] = [];
afterEach(async () => {
  asked.length = 0;
  await proxy.close();
});

const open = async (from: Partial<Connection> = REDIRECTED, headDeadlineMs = 5_000): Promise<void> => {
  proxy = await openTunnelProxy({ headDeadlineMs }, remembering, from);
};
const dial = (): Socket => connect(proxy.listener.bound.port, '127.0.0.1');
const get = (host: string, more = ''): string => `GET /x HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
const refusals = () => proxy.sink.lines.filter(({ kind }) => kind === 'refusal');
const ALERT = '\x15\x03\x03\x00\x02\x02';
const said = async (bytes: Buffer | string): Promise<string> => {
  const socket = dial();
  const answer = readAll(socket);
  socket.write(bytes);
  return answer;
};

/** Answers with where it was asked to go. */
async function remembering(request: DownstreamRequest): Promise<void> {
  asked.push(request);
  const { HeaderList } = await import('../../src/core/headers.ts');
  const { bodyOf } = await import('../../src/core/message.ts');
  const text = Buffer.from(request.tunnel.authority.text);
  const head = { status: 200, reason: 'OK', version: '1.1', headers: new HeaderList(), keepAlive: true } as const;
  await request.respond({ ...head, framing: { kind: 'length', length: text.length } }, bodyOf(text));
}

const standIn = (name: string): string => 'x'.repeat(name.length);

/** A ClientHello of OpenSSL, with this server name written in place of one of its length. */
async function helloFor(name: string): Promise<Buffer> {
  const { createServer } = await import('node:net');
  const { connect: connectTls } = await import('node:tls');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connectTls({
    socket: connect((server.address() as { port: number }).port, '127.0.0.1'),
    ...(name === '' ? {} : { servername: standIn(name) }),
  });
  client.on('error', () => {});
  const bytes = await new Promise<Buffer>((resolve) => void accepted.then((socket) => socket.once('data', resolve)));
  client.destroy();
  (await accepted).destroy();
  await new Promise((resolve) => server.close(resolve));
  if (name !== '') bytes.write(name, bytes.indexOf(standIn(name)), 'latin1');
  return bytes;
}

describe('a redirected connection', () => {
  it('of TLS goes where its ClientHello says, and nothing precedes our part of the handshake', async () => {
    await open();
    const secure = await secureInside(dial(), HOST);
    expect(secure.getPeerCertificate().subjectaltname).toBe(`DNS:${HOST}`);
    const answer = readAll(secure, (text) => text.endsWith(':443'));
    secure.write(get(HOST));
    expect(await answer).toMatch(/^HTTP\/1\.1 200 [\s\S]+api\.openai\.com:443$/);
    expect(asked[0]?.tunnel.connection.original).toEqual(REDIRECTED.original);
    secure.destroy();
  });

  it('keeps the port that was dialled', async () => {
    await open({ way: 'redirected', original: { address: '203.0.113.7', port: 8443 } });
    const secure = await secureInside(dial(), HOST);
    const answer = readAll(secure, (text) => text.endsWith(':8443'));
    secure.write(get(`${HOST}:8443`));
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
    secure.destroy();
  });

  it('takes a hello that comes byte by byte', async () => {
    await open();
    const socket = dial();
    const answer = readAll(socket, (text) => text.startsWith('\x16\x03\x03'));
    for (const byte of await helloFor(HOST)) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answer).charCodeAt(0)).toBe(22);
    socket.destroy();
  });

  it('whose Host is another than its server name is misdirected', async () => {
    await open();
    const secure = await secureInside(dial(), HOST);
    secure.write(get('evil.example'));
    expect(await readAll(secure)).toMatch(/^HTTP\/1\.1 421 /);
    expect(asked).toEqual([]);
  });

  it('without a server name goes to the address that was dialled, where that is known', async () => {
    await open();
    const secure = await secureInside(dial(), '');
    expect(secure.getPeerCertificate().subjectaltname).toBe('IP Address:203.0.113.7');
    secure.destroy();
  });

  it('without a server name, and dialled who knows where, gets an alert', async () => {
    await open({ way: 'redirected' });
    expect(await said(await helloFor(''))).toBe(`${ALERT}\x70`);
    expect(refusals()).toMatchObject([
      { code: 'request_malformed', detail: expect.stringContaining('names no server') },
    ]);
  });

  it.each([
    ['an address', '203.0.113.9', 'authority_malformed'],
    ['a name that is none', 'a..example.c', 'authority_malformed'],
    ['longer than any', 'a'.repeat(254), 'authority_malformed'],
    ['a NUL in it', 'api\0.openai.com', 'authority_malformed'],
  ])('whose server name is %s gets an alert', async (_what, name, code) => {
    await open();
    expect(await said(await helloFor(name))).toBe(`${ALERT}\x70`);
    expect(refusals()).toMatchObject([{ code }]);
  });

  it('of plain HTTP goes where each Host says', async () => {
    await open();
    const socket = dial();
    const answers = readAll(socket, (text) => text.endsWith('two.example:8080'));
    socket.write(get('one.example'));
    socket.write(get('two.example:8080'));
    expect((await answers).match(/(?:one|two)\.example:[0-9]+/g)).toEqual(['one.example:80', 'two.example:8080']);
    expect(asked.map(({ head }) => head.scheme)).toEqual(['http', 'http']);
    socket.destroy();
  });

  it.each([
    ['CONNECT', 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n'],
    ['an absolute target', 'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two', `GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n`],
  ])('of plain HTTP with %s goes nowhere', async (_what, bytes) => {
    await open();
    expect(await said(bytes)).toMatch(/^HTTP\/1\.1 4[0-9]{2} /);
    expect(asked).toEqual([]);
    expect(refusals()).toHaveLength(1);
  });

  it.each([
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', 'request_malformed'],
    ['bytes', '\x00\x01\x02garbage', 'request_malformed'],
    ['TLS that is none', '\x16\x03\x01\x00\x05\x02aaaa', 'request_malformed'],
  ])('of %s is refused and on record', async (_what, bytes, code) => {
    await open();
    await said(Buffer.from(bytes, 'latin1'));
    expect(refusals()).toMatchObject([{ code }]);
  });

  it.each([
    ['nothing', ''],
    ['half a ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['half a request', 'GET / HTT'],
  ])('that says %s and then is silent ends in time', async (_what, bytes) => {
    await open(REDIRECTED, 150);
    await said(Buffer.from(bytes, 'latin1'));
    expect(refusals()).toMatchObject([{ code: 'request_timeout' }]);
  });

  it('that leaves without a word is no incident; in the middle of a word it is', async () => {
    await open();
    dial().end();
    const socket = dial();
    socket.end(Buffer.from('\x16\x03\x01\x02', 'latin1'));
    await readAll(socket);
    expect(refusals()).toMatchObject([{ code: 'downstream_aborted' }]);
  });

  it('to what policy forbids gets an alert and no certificate', async () => {
    await open();
    await expect(secureInside(dial(), 'forbidden.example')).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
    });
    expect(refusals()).toMatchObject([{ authority: 'forbidden.example:443' }]);
  });
});

describe('a relayed connection', () => {
  it('is one that was redirected, for whoever relays it', async () => {
    await open({});
    const { socket, answer } = await openConnect(proxy, '198.18.0.9:443', RELAY);
    expect(answer).toBe('HTTP/1.1 200 Connection established\r\n\r\n');
    const secure = await secureInside(socket, HOST);
    const heard = readAll(secure, (text) => text.endsWith(':443'));
    secure.write(get(HOST));
    await heard;
    const { tunnel } = asked[0] ?? expect.fail('nothing was asked');
    expect(tunnel).toMatchObject({ authority: { text: `${HOST}:443` }, proxyAuthorization: 'Bearer right' });
    expect(tunnel.connection).toMatchObject({ way: 'redirected', original: { address: '198.18.0.9', port: 443 } });
    secure.destroy();
  });

  it('of plain HTTP is one, too, with the identity of its relay whatever its requests say', async () => {
    await open({});
    const { socket } = await openConnect(proxy, '[2001:db8::1]:80', RELAY);
    const heard = readAll(socket, (text) => text.endsWith(':80'));
    socket.write(get('plain.example', 'Proxy-Authorization: Bearer wrong\r\n'));
    expect(await heard).toMatch(/^HTTP\/1\.1 200 /);
    expect(asked[0]?.tunnel.proxyAuthorization).toBe('Bearer right');
    socket.destroy();
  });

  it('is refused by an alert where its relay is a stranger', async () => {
    await open({});
    const { socket } = await openConnect(proxy, '198.18.0.9:443', RELAY.replace('right', 'wrong'));
    await expect(secureInside(socket, HOST)).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED' });
    expect(refusals()).toMatchObject([{ code: 'identity_required' }]);
  });

  it('has an address that was dialled, not a name', async () => {
    await open({});
    const { answer } = await openConnect(proxy, `${HOST}:443`, RELAY);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });
});
