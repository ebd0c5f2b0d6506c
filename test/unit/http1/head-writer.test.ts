import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList, type SecretField } from '../../../src/core/headers.ts';
import type { Framing, RequestHead, ResponseHead } from '../../../src/core/message.ts';
import { serializeRequestHead, serializeResponseHead } from '../../../src/http1/head-writer.ts';
import { createRequestParser } from '../../../src/http1/request-parser.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';
import { feed } from './cuts.ts';
import { ACCEPTED } from './request-corpus.ts';

const request = (parts: Partial<RequestHead> = {}): RequestHead => ({
  method: 'POST',
  target: '/p?q',
  form: 'origin',
  authority: null,
  scheme: null,
  path: '/p',
  query: 'q',
  version: '1.1',
  headers: HeaderList.of(['Host', 'a.test'], ['X-A', 'caf\xe9']),
  framing: { kind: 'none' },
  expectsContinue: false,
  keepAlive: true,
  ...parts,
});

const response = (parts: Partial<ResponseHead> = {}): ResponseHead => ({
  status: 200,
  reason: 'OK',
  version: '1.1',
  headers: HeaderList.of(['X-A', 'b']),
  framing: { kind: 'none' },
  keepAlive: true,
  ...parts,
});

function secret(name: string, value: string): SecretField {
  const bytes = Buffer.from(value, 'latin1');
  return { name, byteLength: bytes.length, copyTo: (target, offset) => void bytes.copy(target, offset) };
}

const text = (bytes: Buffer): string => bytes.toString('latin1');

describe('a request head', () => {
  it('is written in Latin-1 with the framing last', () => {
    const headers = HeaderList.of(
      ['Host', 'a.test'],
      ['content-length', '9'],
      ['Transfer-Encoding', 'gzip'],
      ['X-A', 'caf\xe9'],
    );
    const written = (framing: Framing): string => text(serializeRequestHead(request({ headers, framing }), []));
    const start = 'POST /p?q HTTP/1.1\r\nHost: a.test\r\nX-A: caf\xe9\r\n';
    expect(written({ kind: 'none' })).toBe(`${start}\r\n`);
    expect(written({ kind: 'length', length: 0 })).toBe(`${start}Content-Length: 0\r\n\r\n`);
    expect(written({ kind: 'chunked' })).toBe(`${start}Transfer-Encoding: chunked\r\n\r\n`);
    expect(() => written({ kind: 'close' })).toThrow('internal');
    expect(() => written({ kind: 'length', length: -1 })).toThrow('internal');
  });

  it('with a secret has a buffer of its own', () => {
    const bytes = serializeRequestHead(request(), [secret('Authorization', 'Bearer s3cret'), secret('X-B', '')]);
    expect(text(bytes)).toBe(
      'POST /p?q HTTP/1.1\r\nHost: a.test\r\nX-A: caf\xe9\r\nAuthorization: Bearer s3cret\r\nX-B: \r\n\r\n',
    );
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it.each(['a\rb', 'a\nb', 'a\0b', 'a\r\nX: y', '\u010a', '\u560a', 'a\x7f'])('never carries %j', (evil) => {
    expect(() => serializeRequestHead(request({ headers: HeaderList.of(['X', evil]) }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request({ headers: HeaderList.of([`X${evil}`, 'y']) }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request({ target: `/${evil}` }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request({ method: `G${evil}` }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request(), [secret(`X${evil}`, 'y')])).toThrow('internal');
    expect(() => serializeResponseHead(response({ headers: HeaderList.of(['X', evil]) }))).toThrow('internal');
    expect(() => serializeResponseHead(response({ reason: evil }))).toThrow('internal');
  });

  it.each(['a\rb', 'a\nb', 'a\0b', 'a\x7f'])('never carries a secret of %j, and zeroes what it had written', (evil) => {
    let seen: Buffer | null = null;
    const { copyTo, ...rest } = secret('X', evil);
    const spy: SecretField = {
      ...rest,
      copyTo: (target, offset) => {
        seen = target;
        copyTo(target, offset);
      },
    };
    expect(() => serializeRequestHead(request(), [spy])).toThrow('internal');
    expect(seen).toSatisfy((bytes: Buffer) => bytes.every((byte) => byte === 0));
  });

  it('has a secret target in place of its own, and a secret list of subprotocols in place of the field', () => {
    const textOf = (text: string) => ({
      byteLength: text.length,
      copyTo: (target: Buffer, offset: number) => void target.write(text, offset, 'latin1'),
    });
    const head = request({ headers: HeaderList.of(['Host', 'a.test'], ['sec-websocket-protocol', 'chat']) });
    const field = { name: 'Sec-WebSocket-Protocol', ...textOf('chat, key.s') };
    expect(serializeRequestHead(head, [], textOf('/p?k=s')).toString('latin1')).toBe(
      'POST /p?k=s HTTP/1.1\r\nHost: a.test\r\nsec-websocket-protocol: chat\r\n\r\n',
    );
    expect(serializeRequestHead(head, [field], textOf('/p?k=s')).toString('latin1')).toBe(
      'POST /p?k=s HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Protocol: chat, key.s\r\n\r\n',
    );
    for (const target of ['/a b', '/a\r\nX: y', '/\xe9'])
      expect(() => serializeRequestHead(head, [], textOf(target))).toThrow('internal');
  });

  it('is refused with an empty name, a space in the target, or no target', () => {
    expect(() => serializeRequestHead(request({ headers: HeaderList.of(['', 'x']) }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request({ target: '/a b' }), [])).toThrow('internal');
    expect(() => serializeRequestHead(request({ target: '' }), [])).toThrow('internal');
  });

  it.each(ACCEPTED)('written and parsed again is the same: $name', ({ raw }) => {
    const first = feed(createRequestParser({ defaultScheme: 'https' }), [Buffer.from(raw, 'latin1')]).messages[0]?.head;
    if (first === undefined || first.version === '1.0') return;
    const again = feed(createRequestParser({ defaultScheme: 'https' }), [serializeRequestHead(first, [])]).messages[0]
      ?.head;
    expect(again).toEqual({ ...first, headers: expect.anything() });
    const others = (head: RequestHead | undefined) =>
      [...(head?.headers ?? [])].filter(({ key }) => key !== 'content-length' && key !== 'transfer-encoding');
    expect(others(again)).toEqual(others(first));
  });

  it('of any fields parses back to them', () => {
    const name = fc.stringMatching(/^[!#$%&'*+.^`|~0-9A-Za-z][A-Za-z0-9-]{0,20}$/).map((end) => `X-${end}`);
    const value = fc
      .array(
        fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f),
        { maxLength: 40 },
      )
      .map((codes) => String.fromCharCode(...codes).replace(/^[ \t]+|[ \t]+$/g, ''));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), fc.nat(1e9), (pairs, length) => {
        const headers = HeaderList.of(['Host', 'a.test'], ...pairs);
        const bytes = serializeRequestHead(request({ headers, framing: { kind: 'length', length } }), []);
        const parsed = feed(createRequestParser({ defaultScheme: 'https' }), [bytes]).messages[0]?.head;
        expect(parsed?.framing).toEqual({ kind: 'length', length });
        expect([...(parsed?.headers ?? [])].slice(0, -1)).toEqual([...headers]);
      }),
    );
  });
});

describe('a response head', () => {
  it('keeps Content-Length where there is no body to tell it', () => {
    const headers = HeaderList.of(['Content-Length', '5'], ['Transfer-Encoding', 'chunked']);
    expect(text(serializeResponseHead(response({ headers })))).toBe('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
    expect(text(serializeResponseHead(response({ headers, status: 204 })))).toBe('HTTP/1.1 204 OK\r\n\r\n');
    expect(text(serializeResponseHead(response({ headers, status: 103 })))).toBe('HTTP/1.1 103 OK\r\n\r\n');
  });

  it('says in its fields how the body ends', () => {
    const headers = HeaderList.of(['Connection', 'keep-alive'], ['Content-Length', '5']);
    const written = (framing: Framing): string => text(serializeResponseHead(response({ headers, framing })));
    expect(written({ kind: 'length', length: 7 })).toBe(
      'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n',
    );
    expect(written({ kind: 'chunked' })).toBe(
      'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    expect(written({ kind: 'close' })).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
  });

  it.each([99, 600, 200.5, Number.NaN])('has no status %s', (status) => {
    expect(() => serializeResponseHead(response({ status }))).toThrow('internal');
  });

  it('parses back to itself', () => {
    const head = response({ reason: '', framing: { kind: 'chunked' } });
    const parser = createResponseParser();
    parser.expect('GET');
    const parsed = feed(parser, [serializeResponseHead(head)]).messages[0]?.head;
    expect(parsed).toEqual({ ...head, headers: expect.anything() });
  });
});
