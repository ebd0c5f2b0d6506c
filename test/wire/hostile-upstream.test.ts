/**
 * Duty: upstreams that answer wrongly, on a route with a credential: status and Proxy-Status error of README's table, the
 *   upstream's socket destroyed, one completion in the audit with that code, and no secret in what the workload reads.
 */
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ACCEPTED_RESPONSES, REFUSED_RESPONSES } from '../unit/http1/response-corpus.ts';
import { INJECTED, OPEN, TCP } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';
import { until } from './upstream-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld();
});
afterEach(() => {
  world.serve = null;
});
afterAll(() => world.close());

interface Answer {
  readonly status: number | undefined;
  readonly error: string | null;
  readonly code: string | null;
  readonly text: string;
  /** The response has the end that its own framing promises. */
  readonly isWhole: boolean;
  /** The one completion in the audit. */
  readonly record: Readonly<Record<string, unknown>> | undefined;
}

async function ask(authority: string, method = 'GET'): Promise<Answer> {
  const before = completions().length;
  const secure = await world.tunnel(authority);
  const heard = hear(secure);
  const host = authority.slice(0, authority.lastIndexOf(':'));
  await sendPieces(secure, [Buffer.from(`${method} / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)]);
  const { text, isClosed } = await heard;
  secure.destroy();
  expect(isClosed).toBe(true);
  for (const secret of world.secrets()) expect(text.includes(secret)).toBe(false);
  const [, error = null, code = null] =
    /Proxy-Status: countersign; error=([a-z_]+); details="([a-z_]+)"/.exec(text) ?? [];
  await until(() => completions().length > before);
  expect(completions()).toHaveLength(before + 1);
  const record = completions().at(-1);
  return { status: statusesIn(text).at(-1), error, code, text, isWhole: isWhole(text, method), record };
}

function isWhole(text: string, method: string): boolean {
  const finalAt = text.lastIndexOf('HTTP/1.1 ');
  const end = text.indexOf('\r\n\r\n', finalAt);
  if (end === -1) return false;
  const [head, body] = [text.slice(finalAt, end), text.slice(end + 4)];
  const length = /\r\nContent-Length: ([0-9]+)/i.exec(head)?.[1];
  if (method === 'HEAD' || /^HTTP\/1.1 (?:204|304)/.test(head)) return body === '';
  if (length !== undefined) return body.length === Number(length);
  return /\r\nTransfer-Encoding: chunked/i.test(head) && /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(body);
}

const completions = () => world.audit().filter(({ kind }) => kind === 'completion');

type Way = 'whole' | 'byte by byte';

/** Answers the first bytes of a connection with `raw`; `ends`: and closes behind it. */
const answering =
  (raw: string, way: Way, ends: boolean) =>
  (socket: Socket): void => {
    socket.once('data', async () => {
      const bytes = Buffer.from(raw, 'latin1');
      const pieces =
        way === 'whole' || bytes.length > 1_000 ? [bytes] : Array.from(bytes, (byte) => Buffer.from([byte]));
      await sendPieces(socket, pieces);
      if (ends) socket.end();
    });
  };

const WAYS: readonly Way[] = ['whole', 'byte by byte'];
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const ok = (fields: string, body = ''): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;

/** The head is lawful, and out, when the body turns out not to be. */
const BEGINS_WELL = /^HTTP\/1\.1 200 OK\r\n(?:Transfer-Encoding: chunked|Content-Length: [0-9]+)\r\n\r\n/;
/** Bytes behind a response that is over (U20). */
const EXTRA =
  /^(?:a second response|a body longer than announced|a body for HEAD|a body behind 304|bytes behind the last chunk)$/;
/** Only the end of the connection makes these wrong. */
const CUT = new Set(['connection_terminated', 'http_response_incomplete']);

describe('responses that the codec refuses', () => {
  const head = REFUSED_RESPONSES.filter(({ raw, name }) => !BEGINS_WELL.test(raw) && !EXTRA.test(name));
  it.each(head)('$name: 502, $code', async ({ raw, code, method = 'GET' }) => {
    for (const way of WAYS) {
      world.serve = answering(raw, way, CUT.has(code));
      const answer = await ask(INJECTED, method);
      expect(answer).toMatchObject({ status: 502, error: code, code });
      await until(() => world.upstream.open() === 0);
      expect(answer.record).toMatchObject({ outcome: 'failed', code, status: 502 });
    }
  });

  const body = REFUSED_RESPONSES.filter(({ raw, name }) => BEGINS_WELL.test(raw) && !EXTRA.test(name));
  it.each(body)('$name: never looks complete, $code', async ({ raw, code, method = 'GET' }) => {
    for (const way of WAYS) {
      world.serve = answering(raw, way, CUT.has(code));
      const answer = await ask(INJECTED, method);
      expect([200, 502]).toContain(answer.status);
      expect(answer.status === 502 ? answer.code : answer.isWhole).toBe(answer.status === 502 ? code : false);
      await until(() => world.upstream.open() === 0);
      expect(answer.record).toMatchObject({ outcome: 'failed', code });
    }
  });

  const extra = REFUSED_RESPONSES.filter(({ name }) => EXTRA.test(name));
  it.each(extra)('$name: delivered, and the socket destroyed', async ({ raw, method = 'GET' }) => {
    for (const way of WAYS) {
      world.serve = answering(raw, way, false);
      const answer = await ask(INJECTED, method);
      expect(answer).toMatchObject({ status: Number(raw.slice(9, 12)), error: null, isWhole: true });
      await until(() => world.upstream.open() === 0);
      expect(answer.record).toMatchObject({ outcome: 'completed' });
    }
  });
});

describe('responses that the codec takes', () => {
  it.each(ACCEPTED_RESPONSES.filter(({ statuses }) => !statuses.includes(101)))('$name', async (each) => {
    const { raw, method = 'GET', statuses, body } = each;
    for (const way of WAYS) {
      world.serve = answering(raw, way, true);
      const answer = await ask(INJECTED, method);
      expect(answer).toMatchObject({ status: statuses.at(-1), error: null, isWhole: true });
      for (const part of body.match(/./g) ?? []) expect(answer.text).toContain(part);
      await until(() => world.upstream.open() === 0);
    }
  });
});

describe('what is lawful in itself and not here', () => {
  const rows: readonly (readonly [name: string, raw: string, code: string])[] = [
    ['an unsolicited 101 (U19)', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n', 'http_upgrade_failed'],
    ['an unsolicited 101 and bytes of it', 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n\x81\x02hi', 'http_upgrade_failed'],
    ['101 behind 100', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n', 'http_upgrade_failed'],
    ['11 interim responses (U21)', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(11)}${OK}`, 'http_protocol_error'],
    ['2 000 interim responses', `${'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(2_000)}${OK}`, 'http_protocol_error'],
    ['407 (U22)', 'HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n', 'http_protocol_error'],
    ['gzip (U17)', ok('Content-Encoding: gzip\r\nContent-Length: 3\r\n', 'abc'), 'http_response_content_coding'],
    ['GZIP in capitals', ok('Content-Encoding: GZIP\r\nContent-Length: 3\r\n', 'abc'), 'http_response_content_coding'],
    ['br, in chunks', ok('Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n', '1\r\na\r\n0\r\n\r\n'), 'http_response_content_coding'],
    ['identity and gzip', ok('Content-Encoding: identity, gzip\r\nContent-Length: 1\r\n', 'a'), 'http_response_content_coding'],
    ['identity, then gzip', ok('Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n', 'a'), 'http_response_content_coding'],
    ['an unknown coding', ok('Content-Encoding: cow\r\nContent-Length: 1\r\n', 'a'), 'http_response_content_coding'],
    ['zstd until the close', ok('Content-Encoding: zstd\r\n', 'a'), 'http_response_content_coding'],
    ['a head of 65 KiB (U14)', ok(`${`A: ${'b'.repeat(1_000)}\r\n`.repeat(66)}Content-Length: 0\r\n`), 'http_response_header_section_size'],
    ['a line of 70 000 bytes without end', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(70_000)}`, 'http_response_header_section_size'],
    ['300 fields', ok(`${'A: b\r\n'.repeat(300)}Content-Length: 0\r\n`), 'http_response_header_section_size'],
    ['a large interim response', `HTTP/1.1 103 X\r\nLink: ${'a'.repeat(70_000)}\r\n\r\n${OK}`, 'http_response_header_section_size'],
    ['a field that would end its line', ok('A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n'), 'http_protocol_error'],
    ['a field that would end the head', ok('A: b\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n'), 'http_protocol_error'],
    ['HTTP/2 frames', '\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff', 'http_protocol_error'],
    ['a request', 'GET / HTTP/1.1\r\nHost: injected.test\r\n\r\n', 'http_protocol_error'],
    ['NUL for ever', '\0'.repeat(5_000), 'http_protocol_error'],
    ['an empty line', '\r\n\r\n', 'http_protocol_error'],
  ]; // biome-ignore format: a table
  it.each(rows)('%s', async (_name, raw, code) => {
    for (const way of WAYS) {
      world.serve = answering(raw, way, false);
      const answer = await ask(INJECTED);
      expect(answer).toMatchObject({ status: 502, error: code, code, isWhole: true });
      await until(() => world.upstream.open() === 0);
      expect(answer.record).toMatchObject({ outcome: 'failed', code, status: 502 });
    }
  });

  it('ten interim responses are few enough, and none of them is told', async () => {
    world.serve = answering(`${'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(10)}${OK}`, 'whole', true);
    const answer = await ask(INJECTED);
    expect(answer).toMatchObject({ status: 200, isWhole: true });
    expect(answer.text).not.toContain('103');
  });

  it('an encoded body passes untouched where no credential is injected, and so does one that is none', async () => {
    world.serve = answering(ok('Content-Encoding: gzip\r\nContent-Length: 3\r\n', '\x1f\x8b\xff'), 'whole', true);
    const { text } = await ask(OPEN);
    expect(text).toContain('Content-Encoding: gzip\r\n');
    expect(text.endsWith('\r\n\r\n\x1f\x8b\xff')).toBe(true);
    world.serve = answering(ok('Content-Encoding: gzip\r\nContent-Length: 0\r\n'), 'whole', true);
    expect(await ask(INJECTED)).toMatchObject({ status: 200, isWhole: true });
  });
});

describe('where it does not come to HTTP', () => {
  const rows: readonly (readonly [name: string, serve: (socket: Socket) => void, code: string])[] = [
    ['plain HTTP', (socket) => socket.write(OK), 'tls_protocol_error'],
    ['a banner', (socket) => socket.write('220 mail ESMTP\r\n'), 'tls_protocol_error'],
    ['a record of another version', (socket) => socket.write('\x16\x02\0\0\x05hello', 'latin1'), 'tls_protocol_error'],
    ['an alert: handshake_failure (U7)', (socket) => socket.write('\x15\x03\x03\0\x02\x02\x28', 'latin1'), 'tls_alert_received'],
    ['an alert: unrecognized_name', (socket) => socket.write('\x15\x03\x03\0\x02\x02\x70', 'latin1'), 'tls_alert_received'],
    ['the end at once', (socket) => socket.end(), 'connection_terminated'],
    ['a reset at once', (socket) => socket.resetAndDestroy(), 'connection_terminated'],
  ]; // biome-ignore format: a table
  it.each(rows)('%s: %s', async (_name, serve, code) => {
    world.serveTcp = (socket) => {
      socket.once('data', () => serve(socket));
    };
    const answer = await ask(TCP);
    expect(answer).toMatchObject({ status: 502, error: code, code, isWhole: true });
    await until(() => world.tcp.open() === 0);
    expect(answer.record).toMatchObject({ outcome: 'failed', code });
    // The credential waits for the certificate.
    for (const secret of world.secrets()) expect(world.tcp.received.join('')).not.toContain(secret);
  });

  it.each([
    ['the end instead of an answer', (socket: Socket) => socket.end()],
    ['a reset instead of an answer', (socket: Socket) => socket.destroy()],
  ])('%s (U9)', async (_name, end) => {
    world.serve = (socket) => {
      socket.once('data', () => end(socket));
    };
    const answer = await ask(INJECTED);
    expect(answer).toMatchObject({ status: 502, error: 'connection_terminated' });
    expect(answer.record).toMatchObject({ outcome: 'failed', code: 'connection_terminated' });
  });
});
