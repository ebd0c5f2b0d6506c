/**
 * Duty: requests that must be refused, each with its code, and requests that must be taken.
 * Holds: `raw` is Latin-1; every line of it is spelled as on the wire. Unless a case says otherwise, its connection was just opened.
 */
import type { ErrorCode } from '../../../src/core/errors.ts';

export interface Refused {
  readonly name: string;
  readonly raw: string;
  readonly code: ErrorCode;
}

export interface Accepted {
  readonly name: string;
  readonly raw: string;
  readonly method: string;
  readonly target: string;
  /** Null: no body at all. */
  readonly body: string | null;
  readonly authority: string | null;
  readonly keepAlive?: boolean;
}

const HOST = 'Host: a.test\r\n';
const get = (fields: string, target = '/', version = 'HTTP/1.1'): string => `GET ${target} ${version}\r\n${fields}\r\n`;
const post = (fields: string, body = ''): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const chunked = (body: string, fields = ''): string => post(`Transfer-Encoding: chunked\r\n${fields}`, body);

type Row = readonly [name: string, raw: string];

const rows = (code: ErrorCode, list: readonly Row[]): Refused[] => list.map(([name, raw]) => ({ name, raw, code }));

const REQUEST_LINES = rows('request_malformed', [
  ['two spaces before the target', `GET  / HTTP/1.1\r\n${HOST}\r\n`],
  ['two spaces before the version', `GET /  HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n`],
  ['a tab between method and target', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`],
  ['a tab before the version', `GET /\tHTTP/1.1\r\n${HOST}\r\n`],
  ['a leading space', ` GET / HTTP/1.1\r\n${HOST}\r\n`],
  ['a trailing space', `GET / HTTP/1.1 \r\n${HOST}\r\n`],
  ['a method with a slash', `G/T / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method with a colon', `GET: / HTTP/1.1\r\n${HOST}\r\n`],
  ['an empty method', ` / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method in Latin-1', `G\xc9T / HTTP/1.1\r\n${HOST}\r\n`],
  ['a lower-case protocol name', `GET / http/1.1\r\n${HOST}\r\n`],
  ['a version with two minor digits', `GET / HTTP/1.10\r\n${HOST}\r\n`],
  ['a version with two major digits', `GET / HTTP/01.1\r\n${HOST}\r\n`],
  ['a version without minor digit', `GET / HTTP/1\r\n${HOST}\r\n`],
  ['a version with a comma', `GET / HTTP/1,1\r\n${HOST}\r\n`],
  ['another protocol', `GET / ICAP/1.0\r\n${HOST}\r\n`],
  ['no target', `GET HTTP/1.1\r\n${HOST}\r\n`],
  ['an empty target', `GET  HTTP/1.1\r\n${HOST}\r\n`],
  ['only a method', `GET\r\n${HOST}\r\n`],
  ['a bare LF behind the request line', `GET / HTTP/1.1\n${HOST}\r\n`],
  ['a bare LF in the request line', `GET /\nHTTP/1.1\r\n${HOST}\r\n`],
  ['a bare CR in the request line', `GET /\rx HTTP/1.1\r\n${HOST}\r\n`],
  ['CR CR LF behind the request line', `GET / HTTP/1.1\r\r\n${HOST}\r\n`],
  ['NUL in the target', `GET /\0 HTTP/1.1\r\n${HOST}\r\n`],
  ['DEL in the target', `GET /\x7f HTTP/1.1\r\n${HOST}\r\n`],
  ['a vertical tab in the request line', `GET\x0b/ HTTP/1.1\r\n${HOST}\r\n`],
  ['an empty line before the first request', `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ['a bare LF before the first request', `\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ['a TLS ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a byte order mark', `\xef\xbb\xbfGET / HTTP/1.1\r\n${HOST}\r\n`],
]);

const VERSIONS = rows('request_version_unsupported', [
  ['HTTP/0.9', 'GET /\r\n\r\n'],
  ['HTTP/0.9 with fields', `GET /\r\n${HOST}\r\n`],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`],
  ['HTTP/3.0', `GET / HTTP/3.0\r\n${HOST}\r\n`],
  ['HTTP/0.9 by name', `GET / HTTP/0.9\r\n${HOST}\r\n`],
]);

const METHODS = rows('request_method_unsupported', [
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
  ['TRACK', `TRACK / HTTP/1.1\r\n${HOST}\r\n`],
  ['trace in lower case', `trace / HTTP/1.1\r\n${HOST}\r\n`],
  ['head in lower case', `head / HTTP/1.1\r\n${HOST}\r\n`],
  ['Connect in mixed case', 'Connect a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
  ['a method of 33 letters', `${'M'.repeat(33)} / HTTP/1.1\r\n${HOST}\r\n`],
]);

const TARGETS = rows('request_malformed', [
  ['a fragment', get(HOST, '/a#b')],
  ['only a fragment', get(HOST, '#b')],
  ['a backslash', get(HOST, '/a\\b')],
  ['a leading backslash', get(HOST, '\\a')],
  ['Latin-1 in the target', get(HOST, '/caf\xe9')],
  ['UTF-8 in the target', get(HOST, '/caf\xc3\xa9')],
  ['a no-break space in the target', get(HOST, '/a\xa0b')],
  ['a relative path', get(HOST, 'a/b')],
  ['only a query', get(HOST, '?a')],
  ['an asterisk with GET', get(HOST, '*')],
  ['an asterisk with POST', `POST * HTTP/1.1\r\n${HOST}\r\n`],
  ['two asterisks with OPTIONS', `OPTIONS ** HTTP/1.1\r\n${HOST}\r\n`],
  ['an asterisk with a query', `OPTIONS *?a HTTP/1.1\r\n${HOST}\r\n`],
  ['authority-form with GET', get(HOST, 'a.test:443')],
  ['an ftp URI', get(HOST, 'ftp://a.test/')],
  ['a ws URI', get(HOST, 'ws://a.test/')],
  ['a file URI', get(HOST, 'file:///etc/passwd')],
  ['a javascript URI', get(HOST, 'javascript:1')],
  ['an http URI with one slash', get(HOST, 'http:/a.test/')],
  ['an http URI without slashes', get(HOST, 'http:a.test')],
  ['a URI without scheme', get(HOST, '://a.test/')],
  ['a URI with a fragment', get(HOST, 'http://a.test/#x')],
  ['a URI with backslashes', get(HOST, 'http:\\\\a.test\\')],
]);

const AUTHORITIES = rows('authority_malformed', [
  ['user information in the target', get(HOST, 'http://u@a.test/')],
  ['user and password in the target', get(HOST, 'http://u:p@a.test/')],
  ['an empty authority in the target', get(HOST, 'http:///x')],
  ['an authority of a port alone', get(HOST, 'http://:80/')],
  ['port 0 in the target', get(HOST, 'http://a.test:0/')],
  ['port 65536 in the target', get(HOST, 'http://a.test:65536/')],
  ['a port with a leading zero', get(HOST, 'http://a.test:080/')],
  ['an empty port in the target', get(HOST, 'http://a.test:/')],
  ['a percent-encoded host', get(HOST, 'http://a%2etest/')],
  ['an address in octal', get(HOST, 'http://0177.0.0.1/')],
  ['an address as one number', get(HOST, 'http://2130706433/')],
  ['an address in hex', get(HOST, 'http://0x7f.1/')],
  ['IPv6 without brackets', get(HOST, 'http://::1/')],
  ['IPv6 with a zone', get(HOST, 'http://[fe80::1%25eth0]/')],
  ['CONNECT without a port', 'CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n'],
  ['CONNECT with a URI', 'CONNECT http://a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
  ['CONNECT with a path', 'CONNECT a.test:443/ HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
  ['CONNECT with origin-form', `CONNECT / HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT with an asterisk', `CONNECT * HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT with user information', 'CONNECT u@a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
  ['an empty Host', get('Host:\r\n')],
  ['a Host of white space', get('Host: \t \r\n')],
  ['a Host list', get('Host: a.test, b.test\r\n')],
  ['a Host list without space', get('Host: a.test,b.test\r\n')],
  ['two hosts in one Host', get('Host: a.test b.test\r\n')],
  ['user information in Host', get('Host: u@a.test\r\n')],
  ['user and password in Host', get('Host: u:p@a.test\r\n')],
  ['a path in Host', get('Host: a.test/x\r\n')],
  ['a query in Host', get('Host: a.test?x\r\n')],
  ['a fragment in Host', get('Host: a.test#x\r\n')],
  ['a backslash in Host', get('Host: a.test\\x\r\n')],
  ['a percent sign in Host', get('Host: a%2etest\r\n')],
  ['a bracketed name in Host', get('Host: [a.test]\r\n')],
  ['a scheme in Host', get('Host: http://a.test\r\n')],
  ['an empty port in Host', get('Host: a.test:\r\n')],
  ['port 0 in Host', get('Host: a.test:0\r\n')],
  ['two ports in Host', get('Host: a.test:80:80\r\n')],
  ['a port in words in Host', get('Host: a.test:http\r\n')],
  ['a signed port in Host', get('Host: a.test:+80\r\n')],
  ['a port with a space in Host', get('Host: a.test: 80\r\n')],
  ['Latin-1 in Host', get('Host: a\xe9.test\r\n')],
  ['a full-width dot in Host', get('Host: a\xef\xbc\x8etest\r\n')],
  ['two dots in Host', get('Host: a..test\r\n')],
  ['a leading dot in Host', get('Host: .a.test\r\n')],
  ['two final dots in Host', get('Host: a.test..\r\n')],
  ['a short IPv4 address in Host', get('Host: 127.1\r\n')],
  ['a label of 64 letters in Host', get(`Host: ${'a'.repeat(64)}.test\r\n`)],
  ['a malformed Host in HTTP/1.0', get('Host: a,b\r\n', '/', 'HTTP/1.0')],
]);

const HOSTS = [
  ...rows('request_malformed', [
    ['no Host', get('')],
    ['no Host beside absolute-form', get('', 'http://a.test/')],
    ['two Host fields', get(`${HOST}Host: b.test\r\n`)],
    ['two equal Host fields', get(`${HOST}${HOST}`)],
    ['two Host fields in other case', get(`${HOST}hOST: a.test\r\n`)],
    ['two Host fields in HTTP/1.0', get(`${HOST}${HOST}`, '/', 'HTTP/1.0')],
  ]),
  ...rows('authority_mismatch', [
    ['absolute-form to another host', get(HOST, 'http://b.test/')],
    ['absolute-form to another port', get(HOST, 'http://a.test:8080/')],
    ['absolute-form and a Host with another port', get('Host: a.test:443\r\n', 'http://a.test/')],
    ['CONNECT and another Host', 'CONNECT a.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n'],
    ['CONNECT and another port', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:80\r\n\r\n'],
  ]),
];

const FIELDS = rows('request_malformed', [
  ['a space before the colon', get(`${HOST}X : y\r\n`)],
  ['a tab before the colon', get(`${HOST}X\t: y\r\n`)],
  ['a space before the colon of Host', get('Host : a.test\r\n')],
  ['a space before the colon of Content-Length', post('Content-Length : 1\r\n', 'a')],
  ['a space before the colon of Transfer-Encoding', post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n')],
  ['a space in a name', get(`${HOST}X Y: z\r\n`)],
  ['a folded line with a space', get(`${HOST}X: y\r\n z\r\n`)],
  ['a folded line with a tab', get(`${HOST}X: y\r\n\tz\r\n`)],
  ['a folded line that hides a field', get(`${HOST}X: y\r\n Content-Length: 5\r\n`)],
  ['a folded first field', get(` ${HOST}`)],
  ['a folded line of white space', get(`${HOST}X: y\r\n \r\n`)],
  ['a line without a colon', get(`${HOST}X\r\n`)],
  ['an empty name', get(`${HOST}: y\r\n`)],
  ['a name with parentheses', get(`${HOST}X(y): z\r\n`)],
  ['a quoted name', get(`${HOST}"X": z\r\n`)],
  ['a name with a slash', get(`${HOST}X/Y: z\r\n`)],
  ['a name with Latin-1', get(`${HOST}X\xe9: z\r\n`)],
  ['a name with NUL', get(`${HOST}X\0: z\r\n`)],
  ['a name with a no-break space', get(`${HOST}Content-Length\xa0: 5\r\n`)],
  ['NUL in a value', get(`${HOST}X: a\0b\r\n`)],
  ['BEL in a value', get(`${HOST}X: a\x07b\r\n`)],
  ['a form feed in a value', get(`${HOST}X: a\x0cb\r\n`)],
  ['ESC in a value', get(`${HOST}X: \x1b[2J\r\n`)],
  ['DEL in a value', get(`${HOST}X: a\x7fb\r\n`)],
  ['a bare CR in a value', get(`${HOST}X: a\rb\r\n`)],
  ['a bare LF in a value', get(`${HOST}X: a\nY: b\r\n`)],
  ['a bare LF at the end of a line', get(`${HOST}X: a\n`)],
  ['CR CR LF at the end of a line', get(`${HOST}X: a\r\r\n`)],
  ['a bare LF as the empty line', `GET / HTTP/1.1\r\n${HOST}\n`],
  ['LF CR as the empty line', `GET / HTTP/1.1\r\n${HOST}\n\r`],
  ['Content_Length', post('Content_Length: 5\r\n')],
  ['Transfer_Encoding', post('Transfer_Encoding: chunked\r\n')],
  ['transfer.encoding', post('transfer.encoding: chunked\r\n')],
  ['Host_', get(`${HOST}Host_: b.test\r\n`)],
  ['_Authorization', get(`${HOST}_Authorization: x\r\n`)],
  ['Proxy_Authorization', get(`${HOST}Proxy_Authorization: x\r\n`)],
]);

const FRAMING = rows('request_malformed', [
  ['Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n')],
  ['Content-Length 0 and Transfer-Encoding', post('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ['two differing Content-Length fields', post('Content-Length: 5\r\nContent-Length: 6\r\n', 'abcdef')],
  ['two equal Content-Length fields', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'abcde')],
  ['a Content-Length list', post('Content-Length: 5, 5\r\n', 'abcde')],
  ['a Content-Length list without space', post('Content-Length: 5,5\r\n', 'abcde')],
  ['an empty Content-Length', post('Content-Length:\r\n')],
  ['a signed Content-Length', post('Content-Length: +5\r\n', 'abcde')],
  ['a negative Content-Length', post('Content-Length: -1\r\n')],
  ['a hex Content-Length', post('Content-Length: 0x5\r\n', 'abcde')],
  ['a fractional Content-Length', post('Content-Length: 5.0\r\n', 'abcde')],
  ['an exponent in Content-Length', post('Content-Length: 5e0\r\n', 'abcde')],
  ['a leading zero in Content-Length', post('Content-Length: 05\r\n', 'abcde')],
  ['double zero in Content-Length', post('Content-Length: 00\r\n')],
  ['a space within Content-Length', post('Content-Length: 1 1\r\n')],
  ['a quoted Content-Length', post('Content-Length: "5"\r\n', 'abcde')],
  ['an underscore in Content-Length', post('Content-Length: 1_0\r\n')],
  ['a Content-Length of 16 digits', post('Content-Length: 1000000000000000\r\n')],
  ['a Content-Length of 20 digits', post('Content-Length: 18446744073709551616\r\n')],
  ['a no-break space behind Content-Length', post('Content-Length: 5\xa0\r\n', 'abcde')],
  ['a superscript digit in Content-Length', post('Content-Length: \xb2\r\n', 'ab')],
  ['two Transfer-Encoding fields', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  [
    'two differing Transfer-Encoding fields',
    post('Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  ['chunked twice', chunked('0\r\n\r\n').replace('chunked', 'chunked, chunked')],
  ['chunked not last', chunked('0\r\n\r\n').replace('chunked', 'chunked, identity')],
  ['a comma before chunked', chunked('0\r\n\r\n').replace('chunked', ',chunked')],
  ['a comma behind chunked', chunked('0\r\n\r\n').replace('chunked', 'chunked,')],
  ['a parameter behind chunked', chunked('0\r\n\r\n').replace('chunked', 'chunked;q=1')],
  ['a quoted chunked', chunked('0\r\n\r\n').replace('chunked', '"chunked"')],
  ['an empty Transfer-Encoding', chunked('0\r\n\r\n').replace('chunked', '')],
  ['a no-break space before chunked', chunked('0\r\n\r\n').replace('chunked', '\xa0chunked')],
  ['a byte order mark before chunked', chunked('0\r\n\r\n').replace('chunked', '\xef\xbb\xbfchunked')],
  ['a KELVIN SIGN in chunked', chunked('0\r\n\r\n').replace('chunked', 'chun\xe2\x84\xaaed')],
  ['a tab before chunked', chunked('0\r\n\r\n').replace('chunked', '\tchunked')],
  ['a tab behind chunked', chunked('0\r\n\r\n').replace('chunked', 'chunked\t')],
  ['a vertical tab before chunked', chunked('0\r\n\r\n').replace('chunked', '\x0bchunked')],
  ['a space within chunked', chunked('0\r\n\r\n').replace('chunked', 'chunked chunked')],
  ['Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['an unknown coding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: gzip\r\n\r\n`],
  ['CONNECT with Content-Length', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nContent-Length: 1\r\n\r\na'],
  ['CONNECT with chunks', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nTransfer-Encoding: chunked\r\n\r\n'],
]);

const CODINGS = rows('request_method_unsupported', [
  ['gzip', chunked('').replace('chunked', 'gzip')],
  ['identity', chunked('').replace('chunked', 'identity')],
  ['gzip, chunked', chunked('').replace('chunked', 'gzip, chunked')],
  ['identity, chunked', chunked('').replace('chunked', 'identity, chunked')],
  ['xchunked', chunked('').replace('chunked', 'xchunked')],
  ['chunked-x', chunked('').replace('chunked', 'chunked-x')],
  ['cow', chunked('').replace('chunked', 'cow')],
]);

const CONNECTION = rows(
  'request_malformed',
  [
    'Host',
    'content-length',
    'Transfer-Encoding',
    'close, Authorization',
    'Proxy-Authorization',
    'Cookie',
    'X-Amz-Date',
    'x-api-key',
    'Content-Type',
    'Expect',
    'X-Forwarded-For',
    'Via',
    'keep-alive; x',
    'a b',
    '"close"',
    'close\xa0',
  ].map((value) => [`Connection: ${value}`, get(`${HOST}Connection: ${value}\r\n`)] as const),
);

const EXPECTATIONS = rows('expectation_failed', [
  ['another expectation', post('Expect: 200-ok\r\nContent-Length: 1\r\n', 'a')],
  ['an empty Expect', post('Expect:\r\nContent-Length: 1\r\n', 'a')],
  ['two Expect fields', post('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n', 'a')],
  ['an Expect list', post('Expect: 100-continue, 100-continue\r\nContent-Length: 1\r\n', 'a')],
  ['an Expect parameter', post('Expect: 100-continue;a=b\r\nContent-Length: 1\r\n', 'a')],
  ['a glued Expect', post('Expect: x100-continue\r\nContent-Length: 1\r\n', 'a')],
  ['an underscored Expect', post('Expect: 100_continue\r\nContent-Length: 1\r\n', 'a')],
]);

const CHUNKS = rows('request_malformed', [
  ['a size with 0x', chunked('0x5\r\nabcde\r\n0\r\n\r\n')],
  ['a signed size', chunked('+5\r\nabcde\r\n0\r\n\r\n')],
  ['a negative size', chunked('-5\r\nabcde\r\n0\r\n\r\n')],
  ['a size of no digit', chunked('\r\n0\r\n\r\n')],
  ['a size of a letter beyond f', chunked('g\r\n\r\n')],
  ['a space before the size', chunked(' 5\r\nabcde\r\n0\r\n\r\n')],
  ['a space behind the size', chunked('5 \r\nabcde\r\n0\r\n\r\n')],
  ['a tab behind the size', chunked('5\t\r\nabcde\r\n0\r\n\r\n')],
  ['a size of 9 digits', chunked('000000005\r\nabcde\r\n0\r\n\r\n')],
  ['a size of 17 digits', chunked('10000000000000005\r\nabcde\r\n0\r\n\r\n')],
  ['an underscore in a size', chunked('1_0\r\n')],
  ['a bare LF behind the size', chunked('5\nabcde\r\n0\r\n\r\n')],
  ['a bare CR behind the size', chunked('5\rabcde\r\n0\r\n\r\n')],
  ['a bare LF behind the data', chunked('5\r\nabcde\n0\r\n\r\n')],
  ['nothing behind the data', chunked('5\r\nabcde0\r\n\r\n')],
  ['data longer than its size', chunked('4\r\nabcde\r\n0\r\n\r\n')],
  ['CR and another byte behind the data', chunked('5\r\nabcde\rx0\r\n\r\n')],
  ['a bare LF in an extension', chunked('5;a\nb\r\nabcde\r\n0\r\n\r\n')],
  ['a bare CR in an extension', chunked('5;a\rb\r\nabcde\r\n0\r\n\r\n')],
  ['NUL in an extension', chunked('5;\0\r\nabcde\r\n0\r\n\r\n')],
  ['an extension without semicolon', chunked('5 a=b\r\nabcde\r\n0\r\n\r\n')],
  ['a bare LF behind the last size', chunked('0\n\r\n')],
  ['a bare LF as the last line', chunked('0\r\n\n')],
  ['a trailer Content-Length', chunked('0\r\nContent-Length: 5\r\n\r\n')],
  ['a trailer Transfer-Encoding', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')],
  ['a trailer Host', chunked('0\r\nHost: b.test\r\n\r\n')],
  ['a trailer Authorization', chunked('0\r\nAuthorization: x\r\n\r\n')],
  ['a trailer Proxy-Authorization', chunked('0\r\nproxy-authorization: x\r\n\r\n')],
  ['a trailer Connection', chunked('0\r\nConnection: close\r\n\r\n')],
  ['a trailer Cookie', chunked('0\r\nCookie: a\r\n\r\n')],
  ['a trailer Content-Type', chunked('0\r\nContent-Type: a/b\r\n\r\n')],
  ['a trailer Expect', chunked('0\r\nExpect: 100-continue\r\n\r\n')],
  ['a trailer Content_Length', chunked('0\r\nContent_Length: 5\r\n\r\n')],
  ['a folded trailer', chunked('0\r\nA: b\r\n c\r\n\r\n')],
  ['a trailer with a space before the colon', chunked('0\r\nA : b\r\n\r\n')],
  ['a trailer without colon', chunked('0\r\nGET / HTTP/1.1\r\n\r\n')],
  ['NUL in a trailer', chunked('0\r\nA: \0\r\n\r\n')],
  ['a bare LF behind a trailer', chunked('0\r\nA: b\n\r\n')],
]);

const BETWEEN = rows('request_malformed', [
  ['two empty lines between requests', `${get(HOST)}\r\n\r\n${get(HOST)}`],
  ['a bare LF between requests', `${get(HOST)}\n${get(HOST)}`],
  ['a bare CR between requests', `${get(HOST)}\r${get(HOST)}`],
  ['a body longer than announced', `${post('Content-Length: 1\r\n', 'a')} / HTTP/1.1\r\n${HOST}\r\n`],
  ['garbage behind the last chunk', `${chunked('0\r\n\r\n')}\0`],
]);

const SIZES = [
  ...rows('request_target_too_long', [
    ['a target of 8 193 bytes', get(HOST, `/${'a'.repeat(8192)}`)],
    ['a target of 40 000 bytes', get(HOST, `/${'a'.repeat(39_999)}`)],
    ['a request line without end', `GET /${'a'.repeat(9_000)}`],
  ]),
  ...rows('request_head_too_large', [
    ['a head of more than 16 KiB', get(`${HOST}X: ${'a'.repeat(16_384)}\r\n`)],
    ['a head without end', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(17_000)}`],
    ['many small fields beyond 16 KiB', get(HOST + 'X-Long-Name: some value\r\n'.repeat(700))],
    ['101 fields', get(HOST + 'X: y\r\n'.repeat(100))],
    ['an extension beyond the limit', chunked(`1;${'a'.repeat(4096)}\r\na\r\n0\r\n\r\n`)],
    ['many extensions beyond the limit together', chunked(`${`1;${'e'.repeat(127)}\r\na\r\n`.repeat(33)}0\r\n\r\n`)],
    ['trailers beyond the limit', chunked(`0\r\nA: ${'b'.repeat(4096)}\r\n\r\n`)],
    ['101 trailer fields', chunked(`0\r\n${'A: b\r\n'.repeat(101)}\r\n`)],
  ]),
];

/** By the class of what is wrong with them. */
export const REFUSED_GROUPS: Readonly<Record<string, readonly Refused[]>> = {
  'request line': REQUEST_LINES,
  version: VERSIONS,
  method: METHODS,
  target: TARGETS,
  authority: AUTHORITIES,
  Host: HOSTS,
  fields: FIELDS,
  framing: FRAMING,
  codings: CODINGS,
  'nominated fields': CONNECTION,
  Expect: EXPECTATIONS,
  chunks: CHUNKS,
  'between requests': BETWEEN,
  sizes: SIZES,
};

export const REFUSED: readonly Refused[] = Object.values(REFUSED_GROUPS).flat();

const A = 'a.test:443';
const plain = (name: string, raw: string, target = '/'): Accepted => ({
  name,
  raw,
  method: 'GET',
  target,
  body: null,
  authority: A,
});
const withBody = (name: string, raw: string, body: string): Accepted => ({
  name,
  raw,
  method: 'POST',
  target: '/p',
  body,
  authority: A,
});

export const ACCEPTED: readonly Accepted[] = [
  plain('the smallest request', get(HOST)),
  plain('a Host without space', get('Host:a.test\r\n')),
  plain('a Host between white space', get('Host: \t a.test \t\r\n')),
  plain('a Host in lower-case field name', get('host: a.test\r\n')),
  plain('a Host in upper case', get('HOST: A.TEST\r\n')),
  plain('a Host with a final dot', get('Host: a.test.\r\n')),
  plain('a Host with the port', get('Host: a.test:443\r\n')),
  { ...plain('a Host with another port', get('Host: a.test:8443\r\n')), authority: 'a.test:8443' },
  { ...plain('an IPv4 Host', get('Host: 192.0.2.1\r\n')), authority: '192.0.2.1:443' },
  { ...plain('an IPv6 Host', get('Host: [2001:DB8::1]:8080\r\n')), authority: '[2001:db8::1]:8080' },
  plain('a query', get(HOST, '/a?b=c&d'), '/a?b=c&d'),
  plain('an empty query', get(HOST, '/?'), '/?'),
  plain('a second question mark', get(HOST, '/a?b?c'), '/a?b?c'),
  plain('dot segments, for policy to judge', get(HOST, '/a/../b/./c'), '/a/../b/./c'),
  plain('two leading slashes', get(HOST, '//b.test/x'), '//b.test/x'),
  plain('percent escapes as they are', get(HOST, '/%2e%2F%zz'), '/%2e%2F%zz'),
  plain('sub-delims and colon', get(HOST, "/!$&'()*+,;=:@-._~"), "/!$&'()*+,;=:@-._~"),
  plain('an upstream id with a colon', get(HOST, '/model/a.b-v1%3A0/invoke'), '/model/a.b-v1%3A0/invoke'),
  { ...plain('absolute-form', get(HOST, 'http://a.test/x?y'), 'http://a.test/x?y'), authority: 'a.test:80' },
  { ...plain('absolute-form in upper case', get(HOST, 'HTTP://A.TEST/x'), 'HTTP://A.TEST/x'), authority: 'a.test:80' },
  { ...plain('absolute-form without path', get(HOST, 'http://a.test'), 'http://a.test'), authority: 'a.test:80' },
  plain('absolute-form for https', get(HOST, 'https://a.test/'), 'https://a.test/'),
  { ...plain('asterisk-form', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, '*'), method: 'OPTIONS' },
  { ...plain('CONNECT', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n', 'a.test:443'), method: 'CONNECT' },
  {
    ...plain('CONNECT with a bare Host', `CONNECT a.test:443 HTTP/1.1\r\n${HOST}\r\n`, 'a.test:443'),
    method: 'CONNECT',
  },
  {
    ...plain('CONNECT in HTTP/1.0 without Host', 'CONNECT a.test:443 HTTP/1.0\r\n\r\n', 'a.test:443'),
    method: 'CONNECT',
    keepAlive: false,
  },
  { ...plain('HTTP/1.0', get(HOST, '/', 'HTTP/1.0')), keepAlive: false },
  { ...plain('HTTP/1.0 without Host', get('', '/', 'HTTP/1.0')), authority: null, keepAlive: false },
  plain('HTTP/1.0 with keep-alive', get(`${HOST}Connection: Keep-Alive\r\n`, '/', 'HTTP/1.0')),
  { ...plain('Connection: close', get(`${HOST}Connection: close\r\n`)), keepAlive: false },
  { ...plain('Connection: Close among others', get(`${HOST}Connection: TE, , Close\r\n`)), keepAlive: false },
  plain('a Connection option that only contains close', get(`${HOST}Connection: notclose\r\n`)),
  plain('an upgrade, for the tunnel to judge', get(`${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n`)),
  plain('Latin-1 in a value', get(`${HOST}X: caf\xe9\r\n`)),
  plain('a tab within a value', get(`${HOST}X: a\tb\r\n`)),
  plain('an empty value', get(`${HOST}X:\r\n`)),
  plain('a value of colons', get(`${HOST}X: ::a:\r\n`)),
  plain('a name of all token characters', get(`${HOST}!#$%&'*+-.^_\`|~09aZ: x\r\n`)),
  plain('an underscore in a name', get(`${HOST}X_Custom_Id: x\r\n`)),
  plain('a field twice', get(`${HOST}Accept: a/b\r\nAccept: c/d\r\n`)),
  plain('100 fields', get(HOST + 'X: y\r\n'.repeat(99))),
  plain('a target of 8 192 bytes', get(HOST, `/${'a'.repeat(8191)}`), `/${'a'.repeat(8191)}`),
  plain('a head of exactly 16 KiB', get(`${HOST}X: ${'a'.repeat(16_384 - 16 - 14 - 5 - 2)}\r\n`)),
  { ...plain('an unknown method', `PROPFIND / HTTP/1.1\r\n${HOST}\r\n`), method: 'PROPFIND' },
  { ...plain('HEAD', `HEAD / HTTP/1.1\r\n${HOST}\r\n`), method: 'HEAD' },
  { ...plain('GET with a body', `${get(`${HOST}Content-Length: 2\r\n`)}ab`), body: 'ab' },
  withBody('an empty body', post('Content-Length: 0\r\n'), ''),
  withBody('a body', post('Content-Length: 5\r\n', 'abcde'), 'abcde'),
  withBody(
    'a body that looks like a request',
    post('Content-Length: 18\r\n', 'GET / HTTP/1.1\r\n\r\n'),
    'GET / HTTP/1.1\r\n\r\n',
  ),
  withBody('Content-Length between white space', post('Content-Length: \t5 \r\n', 'abcde'), 'abcde'),
  withBody('an expectation', post('Expect: 100-Continue\r\nContent-Length: 1\r\n', 'a'), 'a'),
  withBody('chunks', chunked('5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n'), 'abcdefgh'),
  withBody('no chunks', chunked('0\r\n\r\n'), ''),
  withBody('CHUNKED in upper case', chunked('1\r\na\r\n0\r\n\r\n').replace('chunked', 'CHUNKED'), 'a'),
  withBody('chunked between spaces', chunked('1\r\na\r\n0\r\n\r\n').replace('chunked', ' chunked  '), 'a'),
  withBody('a size in upper case', chunked(`A\r\n0123456789\r\n0\r\n\r\n`), '0123456789'),
  withBody('leading zeros in a size', chunked('00000001\r\na\r\n000\r\n\r\n'), 'a'),
  withBody('extensions', chunked('1;a=b;c="d e"\r\na\r\n0;x\r\n\r\n'), 'a'),
  withBody('trailers', chunked('1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum-2:\r\n\r\n'), 'a'),
  withBody('line ends within a chunk', chunked('4\r\n\r\n\r\n\r\n0\r\n\r\n'), '\r\n\r\n'),
];
