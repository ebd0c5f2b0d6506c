/**
 * The work grows with the bytes, in whatever pieces they come. There is no clock in here but the limit of the test: what
 * is quadratic takes hours for these sizes.
 */
import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../../src/core/message.ts';
import type { HeadLimits, MessageParser } from '../../src/http1/message-parser.ts';
import { createRequestParser } from '../../src/http1/request-parser.ts';

const BYTES = 960_000;
const LIMIT_MS = 60_000;
const LIMITS: HeadLimits = {
  maxHeadBytes: 2 * BYTES,
  maxFields: BYTES,
  maxTargetBytes: 2 * BYTES,
  maxTrailerBytes: 2 * BYTES,
  maxChunkExtensionBytes: BYTES,
};
const HEAD = 'POST / HTTP/1.1\r\nHost: a.test\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

const CASES: readonly (readonly [what: string, raw: string])[] = [
  ['a long target', `GET /${'a'.repeat(BYTES)} HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['a long value', `${HEAD}X: ${'a'.repeat(BYTES)}\r\n\r\n`],
  ['a value of white space', `${HEAD}X: a${' \t'.repeat(BYTES / 2)}\r\n\r\n`],
  ['a value of white space with an end', `${HEAD}X: a${' \t'.repeat(BYTES / 2)}b\r\n\r\n`],
  ['a long name', `${HEAD}${'a-'.repeat(BYTES / 2)}: x\r\n\r\n`],
  ['many fields', `${HEAD}${'a: b\r\n'.repeat(BYTES / 6)}\r\n`],
  ['many options of Connection', `${HEAD}Connection: ${'a, '.repeat(BYTES / 3)}a\r\n\r\n`],
  ['many commas in Connection', `${HEAD}Connection: ${','.repeat(BYTES)}\r\n\r\n`],
  ['many codings', `${HEAD}Transfer-Encoding: ${'chunked,'.repeat(BYTES / 8)}x\r\n\r\n`],
  ['a long body', `${HEAD}Content-Length: ${BYTES}\r\n\r\n${'a'.repeat(BYTES)}`],
  ['small chunks', `${CHUNKED}${'1\r\na\r\n'.repeat(BYTES / 6)}0\r\n\r\n`],
  ['a long extension', `${CHUNKED}1;${'a'.repeat(BYTES / 2)}\r\na\r\n0\r\n\r\n`],
  ['many trailers', `${CHUNKED}0\r\n${'a: b\r\n'.repeat(BYTES / 6)}\r\n`],
  ['many requests', 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'.repeat(BYTES / 34)],
];

/** One for each part of the parser that keeps what came so far. */
const BYTE_BY_BYTE = ['a long value', 'many fields', 'a long body', 'small chunks', 'many trailers', 'many requests'];

/** Number of events, or the code of the refusal: either way all bytes were looked at. */
function drain(parser: MessageParser<RequestHead>): number {
  let events = 0;
  while (parser.pull() !== null) events++;
  return events;
}

function outcome(pieces: Iterable<Buffer>, pullsAfterEach: boolean): string {
  const parser = createRequestParser({ defaultScheme: 'https', limits: LIMITS });
  let heads = 0;
  try {
    for (const piece of pieces) {
      parser.push(piece);
      if (pullsAfterEach) heads += drain(parser);
    }
    heads += drain(parser);
    return heads > 0 ? 'events' : 'nothing';
  } catch (thrown) {
    return String((thrown as { code?: string }).code);
  }
}

function* oneByOne(raw: string): Iterable<Buffer> {
  const bytes = Buffer.from(raw, 'latin1');
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

const expected = (raw: string): RegExp => (raw.includes('chunked,') ? /malformed|unsupported/ : /events/);

describe('at once', () => {
  it.each(CASES)(
    '%s',
    (_what, raw) => expect(outcome([Buffer.from(raw, 'latin1')], true)).toMatch(expected(raw)),
    LIMIT_MS,
  );
});

describe('byte by byte', () => {
  const cases = CASES.filter(([what]) => BYTE_BY_BYTE.includes(what));

  it.each(cases)('%s', (_what, raw) => expect(outcome(oneByOne(raw), true)).toMatch(expected(raw)), LIMIT_MS);
  it(
    'many requests, pulled at the end',
    () => {
      expect(outcome(oneByOne(CASES.at(-1)?.[1] ?? ''), false)).toBe('events');
    },
    LIMIT_MS,
  );
});
