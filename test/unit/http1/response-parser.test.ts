import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResponseHead } from '../../../src/core/message.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';
import { aroundLineEnds, byteByByte, cutAt, feed, type Outcome, whole } from './cuts.ts';
import { ACCEPTED_RESPONSES, REFUSED_RESPONSES } from './response-corpus.ts';

function parse(pieces: readonly Buffer[], method = 'GET'): Outcome<ResponseHead> {
  const parser = createResponseParser();
  parser.expect(method);
  return feed(parser, pieces, true);
}

describe('responses that must be refused', () => {
  it('are more than 40, each with a name of its own', () => {
    expect(REFUSED_RESPONSES.length).toBeGreaterThanOrEqual(40);
    expect(new Set(REFUSED_RESPONSES.map(({ name }) => name)).size).toBe(REFUSED_RESPONSES.length);
  });

  it.each(REFUSED_RESPONSES)('$name: $code', ({ raw, code, method }) => {
    expect(parse(whole(raw), method).code).toBe(code);
    expect(parse(byteByByte(raw), method).code).toBe(code);
    for (const pieces of aroundLineEnds(raw)) expect(parse(pieces, method).code).toBe(code);
  });
});

describe('responses that must be taken', () => {
  it.each(ACCEPTED_RESPONSES)('$name', ({ raw, method, statuses, framing, body, keepAlive }) => {
    for (const pieces of [whole(raw), byteByByte(raw), ...aroundLineEnds(raw)]) {
      const { messages, code } = parse(pieces, method);
      expect(code).toBeNull();
      expect(messages.map(({ head }) => head.status)).toEqual(statuses);
      expect(messages.every(({ isWhole }) => isWhole)).toBe(true);
      expect(messages.at(-1)?.body).toBe(body);
      expect(messages.at(-1)?.head).toMatchObject({ framing: { kind: framing }, keepAlive });
    }
  });
});

describe('what was not asked for', () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na';

  it('stays in sight, and to pull it is an error', () => {
    const parser = createResponseParser();
    expect(parser.pull()).toBeNull();
    parser.push(Buffer.from(OK));
    expect([parser.isIdle, parser.bufferedBytes]).toEqual([false, OK.length]);
    expect(() => parser.pull()).toThrow('http_protocol_error');
    expect([parser.isIdle, parser.bufferedBytes]).toEqual([false, OK.length]);
  });

  it('is idle behind an answer, and not behind an answer and a byte', () => {
    const parser = createResponseParser();
    parser.expect('GET');
    expect(feed(parser, whole(OK)).code).toBeNull();
    expect(parser.isIdle).toBe(true);
    parser.push(Buffer.from('H'));
    expect([parser.isIdle, parser.bufferedBytes]).toEqual([false, 1]);
  });

  it('leaves what follows 101 alone', () => {
    const parser = createResponseParser();
    parser.expect('GET');
    parser.push(Buffer.from('HTTP/1.1 101 X\r\n\r\n\x81\x00', 'latin1'));
    expect(parser.pull()?.kind).toBe('head');
    expect(parser.pull()?.kind).toBe('end');
    expect(parser.takeRest().toString('latin1')).toBe('\x81\x00');
  });

  it('answers each request by its own method', () => {
    const parser = createResponseParser();
    parser.expect('HEAD');
    parser.expect('GET');
    const { messages, code } = feed(parser, whole(`HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n${OK}`));
    expect(code).toBeNull();
    expect(messages.map(({ body }) => body)).toEqual(['', 'a']);
  });

  it('may close while nothing is owed', () => {
    const parser = createResponseParser();
    expect(() => parser.end()).not.toThrow();
    expect(parser.pull()).toBeNull();
  });
});

describe('the cut does not matter', () => {
  const samples = [...ACCEPTED_RESPONSES, ...REFUSED_RESPONSES].filter(({ raw }) => raw.length < 2_000);

  it('for any of the corpus in any pieces', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(fc.nat(2_000), { maxLength: 12 }),
        ({ raw, method }, places) => {
          const cuts = places.map((place) => place % (raw.length + 1));
          expect(parse(cutAt(raw, cuts), method)).toEqual(parse(whole(raw), method));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('for the corpus with one byte changed', () => {
    const changeable = samples.filter(({ raw }) => raw.length > 0);
    fc.assert(
      fc.property(fc.constantFrom(...changeable), fc.nat(), fc.nat(255), fc.nat(), ({ raw, method }, at, byte, cut) => {
        const place = at % raw.length;
        const changed = raw.slice(0, place) + String.fromCharCode(byte) + raw.slice(place + 1);
        expect(parse(cutAt(changed, [cut % changed.length]), method)).toEqual(parse(whole(changed), method));
      }),
      { numRuns: 2_000 },
    );
  });
});
