import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EgressError, ERRORS } from '../../../src/core/errors.ts';
import type { RequestHead } from '../../../src/core/message.ts';
import { REQUEST_LIMITS } from '../../../src/http1/message-parser.ts';
import { createRequestParser } from '../../../src/http1/request-parser.ts';
import { WIRE_CASES } from '../../wire/corpus/wire-corpus.ts';
import { aroundLineEnds, byteByByte, cutAt, feed, type Outcome, whole } from './cuts.ts';
import { ACCEPTED, REFUSED } from './request-corpus.ts';

const parser = () => createRequestParser({ defaultScheme: 'https' });
const parse = (pieces: readonly Buffer[], ends = false): Outcome<RequestHead> => feed(parser(), pieces, ends);
const one = (raw: string): RequestHead => {
  const [message] = parse(whole(raw)).messages;
  if (message === undefined) throw new Error('no message');
  return message.head;
};

describe('requests that must be refused', () => {
  it('are more than 120, each with a name of its own', () => {
    expect(REFUSED.length).toBeGreaterThanOrEqual(120);
    expect(new Set(REFUSED.map(({ name }) => name)).size).toBe(REFUSED.length);
  });

  it.each(REFUSED)('$name: $code', ({ raw, code }) => {
    expect(parse(whole(raw)).code).toBe(code);
    expect(parse(byteByByte(raw)).code).toBe(code);
    for (const pieces of aroundLineEnds(raw)) expect(parse(pieces).code).toBe(code);
  });

  it.each(REFUSED)('$name: nothing that was sent is told', ({ raw }) => {
    let detail: string | null = null;
    try {
      const codec = parser();
      codec.push(Buffer.from(raw.replaceAll('a.test', 'canary-canary.test'), 'latin1'));
      while (codec.pull() !== null);
    } catch (thrown) {
      detail = thrown instanceof EgressError ? thrown.detail : 'not ours';
    }
    expect(detail).toMatch(/^[A-Za-z0-9 ,./"_-]+$/);
    expect(detail).not.toContain('canary');
  });
});

describe('the corpus of the wire', () => {
  it.each(WIRE_CASES)('$class: $name', ({ raw, by, statuses, forwarded }) => {
    for (const pieces of [whole(raw), byteByByte(raw)]) {
      const { messages, code } = parse(pieces);
      const taken = messages
        .filter(({ isWhole }) => isWhole)
        .map(({ head, body }) => `${head.method} ${head.target} ${body}`);
      if (by === null)
        expect({ code, taken: taken.slice(0, forwarded.length) }).toEqual({ code: null, taken: forwarded });
      else if (by === 'codec') {
        expect(taken).toEqual(forwarded);
        expect(ERRORS[code as keyof typeof ERRORS]?.status).toBe(statuses.at(-1));
      } else expect(code).toBeNull();
    }
  });
});

describe('requests that must be taken', () => {
  it('are more than 30', () => {
    expect(ACCEPTED.length).toBeGreaterThanOrEqual(30);
  });

  it.each(ACCEPTED)('$name', ({ raw, method, target, body, authority, keepAlive = true }) => {
    for (const pieces of [whole(raw), byteByByte(raw), ...aroundLineEnds(raw)]) {
      const { messages, code } = parse(pieces, true);
      expect(code).toBeNull();
      expect(messages).toHaveLength(1);
      const [message] = messages;
      expect(message?.isWhole).toBe(true);
      expect(message?.body).toBe(body ?? '');
      expect(message?.head).toMatchObject({ method, target, keepAlive });
      expect(message?.head.authority?.text ?? null).toBe(authority);
      if (body === null) expect(message?.head.framing).toEqual({ kind: 'none' });
    }
  });
});

describe('what a head tells', () => {
  it('takes the target apart', () => {
    expect(one('GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatchObject({
      form: 'origin',
      scheme: null,
      path: '/a/b',
      query: 'c=d',
    });
    expect(one('GET http://a.test?q HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatchObject({
      form: 'absolute',
      scheme: 'http',
      path: '/',
      query: 'q',
    });
    expect(one('CONNECT a.test:8443 HTTP/1.1\r\nHost: a.test:8443\r\n\r\n')).toMatchObject({
      form: 'authority',
      path: '',
      query: null,
    });
    expect(one('OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatchObject({
      form: 'asterisk',
      path: '*',
      query: null,
    });
  });

  it('keeps spelling, order and repetition of fields', () => {
    const { headers } = one('GET / HTTP/1.1\r\nhOsT: a.test\r\nX-b: 1\r\nx-A:  2 \r\nX-B: 3\r\n\r\n');
    expect([...headers]).toEqual([
      { name: 'hOsT', key: 'host', value: 'a.test' },
      { name: 'X-b', key: 'x-b', value: '1' },
      { name: 'x-A', key: 'x-a', value: '2' },
      { name: 'X-B', key: 'x-b', value: '3' },
    ]);
  });

  it('takes the default port from the connection, or from the scheme of the target', () => {
    const http = createRequestParser({ defaultScheme: 'http' });
    expect(feed(http, whole('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).messages[0]?.head.authority?.port).toBe(80);
    expect(one('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n').authority?.port).toBe(80);
  });

  it('does not take the Host of one request for that of the next', () => {
    const raw = ['a', 'b', 'a'].map((host) => `GET / HTTP/1.1\r\nHost: ${host}.test\r\n\r\n`).join('');
    expect(parse(whole(raw)).messages.map(({ head }) => head.authority?.host)).toEqual(['a.test', 'b.test', 'a.test']);
  });

  it('ignores an expectation in HTTP/1.0', () => {
    const raw = (version: string): string =>
      `POST / HTTP/${version}\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n`;
    expect(one(raw('1.1')).expectsContinue).toBe(true);
    expect(one(raw('1.0')).expectsContinue).toBe(false);
  });

  it('lets trailers end here', () => {
    const raw = 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n';
    expect(parse(whole(raw)).messages[0]).toMatchObject({ isWhole: true, trailers: null });
  });

  it('honours other limits', () => {
    const limits = { ...REQUEST_LIMITS, maxHeadBytes: 64, maxFields: 2, maxTargetBytes: 8 };
    const code = (raw: string) => feed(createRequestParser({ limits, defaultScheme: 'https' }), whole(raw)).code;
    expect(code('GET / HTTP/1.1\r\nHost: a.test\r\nA: b\r\n\r\n')).toBeNull();
    expect(code('GET / HTTP/1.1\r\nHost: a.test\r\nA: b\r\nC: d\r\n\r\n')).toBe('request_head_too_large');
    expect(code(`GET / HTTP/1.1\r\nHost: a.test\r\nA: ${'b'.repeat(40)}\r\n\r\n`)).toBe('request_head_too_large');
    expect(code('GET /12345678 HTTP/1.1\r\nHost: a.test\r\n\r\n')).toBe('request_target_too_long');
  });
});

describe('one request after another', () => {
  const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

  it('reads requests that came in one piece', () => {
    const { messages, code } = parse(
      whole(`${GET}POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab${GET}`),
      true,
    );
    expect(code).toBeNull();
    expect(messages.map(({ head, body }) => head.method + body)).toEqual(['GET', 'POSTab', 'GET']);
  });

  it('tolerates one empty line between two of them, and is idle behind it', () => {
    expect(parse(whole(`${GET}\r\n${GET}`), true)).toMatchObject({ code: null, messages: [{}, {}] });
    const codec = parser();
    expect(feed(codec, byteByByte(`${GET}\r\n`), true).code).toBeNull();
    expect(codec.isIdle).toBe(true);
  });

  it('counts chunk extensions anew for each of them', () => {
    const head = 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n';
    const raw = `${head}1;${'e'.repeat(3_000)}\r\na\r\n0\r\n\r\n`;
    expect(parse(whole(raw + raw), true)).toMatchObject({ code: null, messages: [{ body: 'a' }, { body: 'a' }] });
  });

  it('is idle only between two of them', () => {
    const codec = parser();
    expect(codec.isIdle).toBe(true);
    codec.push(Buffer.from('G'));
    expect([codec.isIdle, codec.bufferedBytes]).toEqual([false, 1]);
    expect(codec.pull()).toBeNull();
    expect([codec.isIdle, codec.bufferedBytes]).toEqual([false, 1]);
    codec.push(Buffer.from(GET.slice(1)));
    expect(codec.bufferedBytes).toBe(GET.length);
    expect(codec.pull()?.kind).toBe('head');
    expect(codec.isIdle).toBe(false);
    expect(codec.pull()?.kind).toBe('end');
    expect([codec.isIdle, codec.bufferedBytes]).toEqual([true, 0]);
  });

  it('leaves what follows CONNECT alone', () => {
    const codec = parser();
    const raw = 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n';
    expect(feed(codec, [...byteByByte(raw), Buffer.from([0x16, 3]), Buffer.from([1])]).code).toBeNull();
    expect(codec.bufferedBytes).toBe(3);
    expect([...codec.takeRest()]).toEqual([0x16, 3, 1]);
    expect(() => codec.pull()).toThrow(EgressError);
  });

  it('says that it was cut short, in the head and in the body', () => {
    expect(parse([], true).code).toBeNull();
    expect(parse(whole('G'), true).code).toBe('downstream_aborted');
    expect(parse(whole(GET.slice(0, -1)), true).code).toBe('downstream_aborted');
    const post = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\na';
    expect(parse(whole(post), true)).toMatchObject({ code: 'downstream_aborted', messages: [{ isWhole: false }] });
  });

  it('tells of a cut only behind the events that had arrived', () => {
    const codec = parser();
    codec.push(Buffer.from(`${GET}POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\na`));
    codec.end();
    const kinds = Array.from({ length: 4 }, () => codec.pull()?.kind);
    expect(kinds).toEqual(['head', 'end', 'head', 'data']);
    expect(() => codec.pull()).toThrow('downstream_aborted');
  });

  it('repeats its first error for ever', () => {
    const codec = parser();
    codec.push(Buffer.from('\0'));
    expect(() => codec.pull()).toThrow('request_malformed');
    codec.push(Buffer.from(GET));
    expect(() => codec.pull()).toThrow('request_malformed');
    expect(() => codec.end()).toThrow('request_malformed');
  });
});

describe('the cut does not matter', () => {
  const samples = [...ACCEPTED, ...REFUSED].map(({ raw }) => raw).filter((raw) => raw.length < 2_000);

  it('for any of the corpus in any pieces', () => {
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.array(fc.nat(2_000), { maxLength: 12 }), (raw, places) => {
        const cuts = places.map((place) => place % (raw.length + 1));
        expect(parse(cutAt(raw, cuts), true)).toEqual(parse(whole(raw), true));
      }),
      { numRuns: 2_000 },
    );
  });

  it('for two requests of the corpus in a row, in any pieces', () => {
    const taken = ACCEPTED.filter(({ method, raw }) => method !== 'CONNECT' && raw.length < 2_000).map(
      ({ raw }) => raw,
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...taken),
        fc.constantFrom(...samples),
        fc.array(fc.nat(4_000)),
        (first, second, places) => {
          const raw = first + second;
          const cuts = places.map((place) => place % (raw.length + 1));
          expect(parse(cutAt(raw, cuts), true)).toEqual(parse(whole(raw), true));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('for the corpus with one byte changed, and it never throws anything but its own errors', () => {
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.nat(2_000), fc.nat(255), fc.nat(2_000), (raw, at, byte, cut) => {
        const place = at % raw.length;
        const changed = raw.slice(0, place) + String.fromCharCode(byte) + raw.slice(place + 1);
        expect(parse(cutAt(changed, [cut % changed.length]), true)).toEqual(parse(whole(changed), true));
      }),
      { numRuns: 3_000 },
    );
  });

  it('for the time it takes: byte by byte stays near linear', () => {
    const fields = 'X-Filler: some value that fills\r\n'.repeat(90);
    const pieces = byteByByte(
      `POST / HTTP/1.1\r\nHost: a.test\r\n${fields}Content-Length: 200000\r\n\r\n${'a'.repeat(200_000)}`,
    );
    const codec = parser();
    for (const piece of pieces) codec.push(piece);
    let events = 0;
    while (codec.pull() !== null) events++;
    expect(events).toBe(200_002);
  });
});
