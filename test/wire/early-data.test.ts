/** Duty: what follows CONNECT and is no ClientHello, and what comes to the proxy port and is no request of a proxy. */
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteByByte, whole } from '../unit/http1/cuts.ts';
import { clientHello } from './client-hello.ts';
import { WIRE_CORPUS } from './corpus/wire-corpus.ts';
import { OPEN } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld();
});
afterAll(() => world.close());

const GET = 'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n';
const refusals = () => world.audit().filter(({ kind }) => kind === 'refusal');

type Row = readonly [name: string, bytes: string];

/** None of it reaches OpenSSL where it comes in one piece. */
const NO_HELLO: readonly Row[] = [
  ['a request in plain HTTP', GET],
  ['an absolute request in plain HTTP', GET.replace('/smuggled', 'http://a.test/smuggled')],
  ['another CONNECT', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
  ['an empty line', '\r\n'],
  ['NUL', '\0'],
  ['SSH', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['SOCKS', '\x05\x01\0'],
  ['a TLS alert', '\x15\x03\x01\0\x02\x01\0'],
  ['TLS application data', '\x17\x03\x03\0\x05hello'],
  ['a change of cipher', '\x14\x03\x03\0\x01\x01'],
  ['a ClientHello of SSL 2', '\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10'],
  ['a heartbeat', '\x18\x03\x02\0\x03\x01\x40\0'],
];

/** A handshake record, and no ClientHello in it. */
const BAD_RECORDS: readonly Row[] = [
  ['a record of another major version', '\x16\x02\0\0\x05\x01\0\0\x01\0'],
  ['a request behind the type of a record', `\x16${GET}`],
  ['a ServerHello', '\x16\x03\x03\0\x06\x02\0\0\x02\x03\x03'],
  ['a handshake message of type 0', '\x16\x03\x03\0\x04\0\0\0\0'],
  ['a Finished', '\x16\x03\x03\0\x10\x14\0\0\x0c123456789012'],
  ['a record that is too long', `\x16\x03\x01\xff\xff\x01${'a'.repeat(64)}`],
  ['a ClientHello of nothing', '\x16\x03\x01\0\x04\x01\0\0\0'],
  ['a ClientHello whose lengths disagree', `\x16\x03\x01\0\x08\x01\0\0\x04\x03\x03\xff\xff`],
];

async function behindConnect(pieces: readonly Buffer[]): Promise<string> {
  const socket = await world.connect(OPEN);
  const heard = hear(socket);
  await sendPieces(socket, pieces);
  const { text, isClosed } = await heard;
  expect(isClosed).toBe(true);
  return text;
}

describe('behind CONNECT', () => {
  it.each([...NO_HELLO, ...BAD_RECORDS])(
    '%s: the connection ends, and the upstream never hears of it',
    async (_name, bytes) => {
      const before = refusals().length;
      for (const pieces of [whole(bytes), byteByByte(bytes)]) {
        const answer = await behindConnect(pieces);
        expect(answer).not.toMatch(/HTTP\//);
      }
      await expect.poll(() => refusals().length).toBe(before + 2);
      const codes = refusals()
        .slice(before)
        .map(({ code }) => code);
      expect(codes[0]).toMatch(/^(?:request_malformed|tls_handshake_failed)$/);
      expect(codes[1]).toMatch(/^(?:request_malformed|tls_handshake_failed)$/);
      expect(world.upstream.received).toEqual([]);
    },
  );

  it.each(NO_HELLO)('%s, in one write with CONNECT: there is not even an answer', async (_name, bytes) => {
    const socket = world.dial();
    const heard = hear(socket);
    const credentials = Buffer.from(`${world.instance.id}:${world.instance.token}`).toString('base64');
    const head = `CONNECT ${OPEN} HTTP/1.1\r\nHost: ${OPEN}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`;
    await sendPieces(socket, whole(head + bytes));
    expect(await heard).toEqual({ text: '', isClosed: true });
    await expect.poll(() => refusals().at(-1)).toMatchObject({ code: 'request_malformed', authority: OPEN });
    expect(world.upstream.received).toEqual([]);
  });

  it('a ClientHello and then plain HTTP', async () => {
    const hello = await clientHello('a.test');
    const answer = await behindConnect([hello, Buffer.from(GET)]);
    expect(answer).not.toContain('HTTP/');
    await expect.poll(() => refusals().at(-1)).toMatchObject({ code: 'tls_handshake_failed' });
    expect(world.upstream.received).toEqual([]);
  });
});

describe('a ClientHello', () => {
  it('that speaks nothing that we speak gets no session', async () => {
    const socket = await world.connect(OPEN);
    const failure = await new Promise<string>((resolve) => {
      const secure = connectTls({
        socket,
        servername: 'a.test',
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.0', 'h3'],
      });
      secure.once('secureConnect', () => resolve('a session'));
      secure.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    expect(failure).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
    expect(world.upstream.received).toEqual([]);
  });
});

describe('on the proxy port', () => {
  it.each(WIRE_CORPUS.filter(({ by }) => by === 'codec'))('$class: $name', async (each) => {
    const socket = world.dial();
    const heard = hear(socket);
    await sendPieces(socket, whole(each.raw));
    const { text, isClosed } = await heard;
    // A head that is lawful is origin-form, which nobody may ask of a proxy.
    const isLawfulHead = each.isPartial === true || each.forwarded.length > 0;
    expect({ statuses: statusesIn(text), isClosed }).toEqual({
      statuses: [isLawfulHead ? 400 : each.statuses[0]],
      isClosed: true,
    });
    // A stranger is told nothing but the status.
    expect(text).toMatch(/\r\nContent-Length: 0\r\n/);
    expect(text.endsWith('\r\n\r\n')).toBe(true);
    expect(world.upstream.received).toEqual([]);
  });
});
