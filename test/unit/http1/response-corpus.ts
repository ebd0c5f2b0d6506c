/**
 * Duty: responses that must be refused, each with its code, and responses that must be taken.
 * Holds: `raw` is Latin-1; the peer closes behind it; the request was a GET unless `method` says otherwise.
 */
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { Framing } from '../../../src/core/message.ts';

export interface RefusedResponse {
  readonly name: string;
  readonly raw: string;
  readonly code: ErrorCode;
  readonly method?: string;
}

export interface AcceptedResponse {
  readonly name: string;
  readonly raw: string;
  readonly method?: string;
  /** Statuses in order, interim ones included. */
  readonly statuses: readonly number[];
  readonly framing: Framing['kind'];
  readonly body: string;
  readonly keepAlive: boolean;
}

type Row = readonly [name: string, raw: string, method?: string];

const rows = (code: ErrorCode, list: readonly Row[]): RefusedResponse[] =>
  list.map(([name, raw, method = 'GET']) => ({ name, raw, code, method }));

const ok = (fields: string, body = ''): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const chunked = (body: string): string => ok('Transfer-Encoding: chunked\r\n', body);

export const REFUSED_RESPONSES: readonly RefusedResponse[] = [
  ...rows('http_protocol_error', [
    ['status 099', 'HTTP/1.1 099 X\r\n\r\n'],
    ['status 600', 'HTTP/1.1 600 X\r\n\r\n'],
    ['status 999', 'HTTP/1.1 999 X\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['a signed status', 'HTTP/1.1 +20 OK\r\n\r\n'],
    ['a status in words', 'HTTP/1.1 abc OK\r\n\r\n'],
    ['no status', 'HTTP/1.1\r\n\r\n'],
    ['no space behind the status', 'HTTP/1.1 200\r\n\r\n'],
    ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n'],
    ['a tab before the status', 'HTTP/1.1\t200 OK\r\n\r\n'],
    ['a leading space', ' HTTP/1.1 200 OK\r\n\r\n'],
    ['an empty line before the status line', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['HTTP/0.9', '<html></html>\r\n\r\n'],
    ['ICY', 'ICY 200 OK\r\n\r\n'],
    ['a lower-case protocol name', 'http/1.1 200 OK\r\n\r\n'],
    ['a banner of SSH', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x28'],
    ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n'],
    ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n\r\n'],
    ['a bare LF behind the status line', 'HTTP/1.1 200 OK\nA: b\r\n\r\n'],
    ['a bare LF behind a field', ok('A: b\n')],
    ['a tab behind chunked', chunked('0\r\n\r\n').replace('chunked', 'chunked\t')],
    ['a folded field', ok('A: b\r\n c\r\n')],
    ['a space before a colon', ok('Content-Length : 1\r\n', 'a')],
    ['a line without a colon', ok('A\r\n')],
    ['an empty name', ok(': a\r\n')],
    ['NUL in a value', ok('A: \0\r\n')],
    ['DEL in a value', ok('A: \x7f\r\n')],
    ['two differing Content-Length fields', ok('Content-Length: 1\r\nContent-Length: 2\r\n', 'ab')],
    ['two equal Content-Length fields', ok('Content-Length: 1\r\nContent-Length: 1\r\n', 'a')],
    ['a Content-Length list', ok('Content-Length: 1, 1\r\n', 'a')],
    ['a signed Content-Length', ok('Content-Length: +1\r\n', 'a')],
    ['a negative Content-Length', ok('Content-Length: -1\r\n')],
    ['a hex Content-Length', ok('Content-Length: 0x1\r\n', 'a')],
    ['an empty Content-Length', ok('Content-Length:\r\n')],
    ['a Content-Length of 16 digits', ok('Content-Length: 1000000000000000\r\n')],
    ['Content-Length and Transfer-Encoding', ok('Content-Length: 1\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['both for HEAD', ok('Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'), 'HEAD'],
    ['a malformed Content-Length for HEAD', ok('Content-Length: x\r\n'), 'HEAD'],
    ['204 with a body', 'HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\na'],
    ['204 with chunks', 'HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['100 with a body', 'HTTP/1.1 100 X\r\nContent-Length: 1\r\n\r\na'],
    ['103 with chunks', 'HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['101 with a body', 'HTTP/1.1 101 X\r\nContent-Length: 1\r\n\r\na'],
    ['a Connection option that is no token', ok('Connection: a b\r\n')],
    ['a chunk size with a space', chunked('1 \r\na\r\n0\r\n\r\n')],
    ['a chunk size of 9 digits', chunked('000000001\r\na\r\n0\r\n\r\n')],
    ['a chunk size with 0x', chunked('0x1\r\na\r\n0\r\n\r\n')],
    ['a bare LF behind a chunk size', chunked('1\na\r\n0\r\n\r\n')],
    ['a chunk longer than its size', chunked('1\r\nab\r\n0\r\n\r\n')],
    ['a bare LF behind a chunk', chunked('1\r\na\n0\r\n\r\n')],
    ['a trailer Content-Length', chunked('0\r\nContent-Length: 1\r\n\r\n')],
    ['a trailer Set-Cookie', chunked('0\r\nSet-Cookie: a=b\r\n\r\n')],
    ['a folded trailer', chunked('0\r\nA: b\r\n c\r\n\r\n')],
    ['a second response', `${ok('Content-Length: 1\r\n', 'a')}${ok('Content-Length: 1\r\n', 'b')}`],
    ['a body longer than announced', ok('Content-Length: 1\r\n', 'ab')],
    ['a body for HEAD', ok('Content-Length: 1\r\n', 'a'), 'HEAD'],
    ['a body behind 304', 'HTTP/1.1 304 X\r\nContent-Length: 1\r\n\r\na'],
    ['bytes behind the last chunk', chunked('0\r\n\r\nx')],
  ]),
  ...rows('http_response_transfer_coding', [
    ['gzip', ok('Transfer-Encoding: gzip\r\n', 'a')],
    ['identity', ok('Transfer-Encoding: identity\r\n', 'a')],
    ['gzip, chunked', ok('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['chunked, gzip', ok('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n')],
    ['chunked twice', ok('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n')],
    ['two fields', ok('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['an empty field', ok('Transfer-Encoding:\r\n', '0\r\n\r\n')],
    ['xchunked', ok('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['gzip for HEAD', ok('Transfer-Encoding: gzip\r\n'), 'HEAD'],
  ]),
  ...rows('http_response_header_section_size', [
    ['a head beyond the limit', ok(`A: ${'b'.repeat(65_536)}\r\n`)],
    ['a status line beyond the limit', `HTTP/1.1 200 ${'O'.repeat(70_000)}`],
    ['257 fields', ok('A: b\r\n'.repeat(257))],
    ['extensions beyond the limit', chunked(`1;${'a'.repeat(5_000)}\r\na\r\n0\r\n\r\n`)],
  ]),
  ...rows('http_response_trailer_section_size', [
    ['trailers beyond the limit', chunked(`0\r\nA: ${'b'.repeat(5_000)}\r\n\r\n`)],
    ['trailers without end', chunked(`0\r\nA: ${'b'.repeat(5_000)}`)],
    ['257 trailers', chunked(`0\r\n${'A: b\r\n'.repeat(257)}\r\n`)],
  ]),
  ...rows('connection_terminated', [
    ['nothing', ''],
    ['half a status line', 'HTTP/1.1 2'],
    ['a head without the empty line', 'HTTP/1.1 200 OK\r\nA: b\r\n'],
    ['nothing behind 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ]),
  ...rows('http_response_incomplete', [
    ['no body where one is announced', ok('Content-Length: 2\r\n')],
    ['half a body', ok('Content-Length: 2\r\n', 'a')],
    ['half a chunk', chunked('2\r\na')],
    ['a chunk without its CRLF', chunked('1\r\na')],
    ['no last chunk', chunked('1\r\na\r\n')],
    ['half the last chunk', chunked('1\r\na\r\n0\r\n')],
    ['half a trailer', chunked('1\r\na\r\n0\r\nA: b\r\n')],
  ]),
];

const taken = (name: string, raw: string, framing: Framing['kind'], body: string): AcceptedResponse => ({
  name,
  raw,
  statuses: [200],
  framing,
  body,
  keepAlive: true,
});

export const ACCEPTED_RESPONSES: readonly AcceptedResponse[] = [
  taken('a body', ok('Content-Length: 2\r\n', 'ab'), 'length', 'ab'),
  taken('an empty body', ok('Content-Length: 0\r\n'), 'length', ''),
  taken('chunks', chunked('1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n'), 'chunked', 'abc'),
  taken('trailers', chunked('1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n'), 'chunked', 'a'),
  { ...taken('a body until the close', ok('', 'abc'), 'close', 'abc'), keepAlive: false },
  { ...taken('no body until the close', ok(''), 'close', ''), keepAlive: false },
  { ...taken('a close-delimited body of HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nabc', 'close', 'abc'), keepAlive: false },
  {
    ...taken('HTTP/1.0 with a length', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', 'length', 'a'),
    keepAlive: false,
  },
  taken(
    'HTTP/1.0 with keep-alive',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na',
    'length',
    'a',
  ),
  {
    ...taken('Connection: close', ok('Connection: close\r\nContent-Length: 1\r\n', 'a'), 'length', 'a'),
    keepAlive: false,
  },
  taken('an empty reason', 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', 'length', ''),
  taken('a reason in Latin-1', 'HTTP/1.1 200 D\xe9j\xe0 vu\r\nContent-Length: 0\r\n\r\n', 'length', ''),
  { ...taken('204', 'HTTP/1.1 204 No Content\r\n\r\n', 'none', ''), statuses: [204] },
  {
    ...taken('204 with length 0', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 'none', ''),
    statuses: [204],
  },
  { ...taken('304 with a length', 'HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n', 'none', ''), statuses: [304] },
  { ...taken('HEAD with a length', ok('Content-Length: 5\r\n'), 'none', ''), method: 'HEAD' },
  { ...taken('HEAD with chunked', ok('Transfer-Encoding: chunked\r\n'), 'none', ''), method: 'HEAD' },
  { ...taken('HEAD without either', ok(''), 'none', ''), method: 'HEAD' },
  { ...taken('status 599', 'HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n', 'length', ''), statuses: [599] },
  { ...taken('101', 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n', 'none', ''), statuses: [101], keepAlive: false },
  {
    ...taken(
      'interim responses',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n${ok('Content-Length: 1\r\n', 'a')}`,
      'length',
      'a',
    ),
    statuses: [100, 103, 200],
  },
  {
    ...taken('an interim response before HEAD', `HTTP/1.1 102 X\r\n\r\n${ok('')}`, 'none', ''),
    statuses: [102, 200],
    method: 'HEAD',
  },
  taken('underscores in names', ok('Content_Length: 7\r\nContent-Length: 1\r\n', 'a'), 'length', 'a'),
];
