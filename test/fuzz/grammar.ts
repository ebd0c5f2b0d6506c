/**
 * Duty: well-formed messages, as text in Latin-1: what mutation starts from.
 * Holds: framing and body agree; a well-formed message uses every corner of RFC 9110 and 9112 now and then.
 */
import type { Random } from './random.ts';

const TCHAR = [..."!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"];
const METHODS = ['GET', 'GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];
const RARE_METHODS = ['PROPFIND', 'M-SEARCH', 'REPORT', 'QUERY', 'SEARCH', 'PURGE', 'x', 'Get', 'CONNECT'];
const HOSTS = [
  'a.test',
  'A.Test',
  'api.a.test:8443',
  '127.0.0.1',
  '10.1.2.3:80',
  '[::1]',
  '[2001:db8::1]:443',
  'a.test.',
];
const NAMES = [
  'Accept',
  'accept-encoding',
  'Authorization',
  'Content-Type',
  'Cookie',
  'Date',
  'ETag',
  'Keep-Alive',
  'Link',
  'Location',
  'Pragma',
  'Cache-Control',
  'Range',
  'Set-Cookie',
  'TE',
  'Trailer',
  'Upgrade',
  'Via',
  'X-Api-Key',
  'x-amz-date',
  'X-A_b',
  'x.y',
  'Proxy-Connection',
  'X',
  '!',
  'content-lengths',
  'Transfer-Encodings',
  'xHost',
  'Warning',
  'Vary',
];
const VALUES = [
  '',
  'a',
  'text/html; q=0.5, */*',
  'Bearer x.y-z',
  '"quoted, text"',
  'a\tb',
  'a  b',
  'chunked',
  '0',
  'close',
  'keep-alive',
  'h2c',
  'websocket',
  'no-cache',
  'gzip, chunked',
  '\xe9t\xe9',
  '\x80\x85\xa0\xff',
  'a:b',
  ':',
  ',',
  'a,,b',
  'x=";\\""',
  '100-continue',
];
const CONNECTIONS = [
  'close',
  'keep-alive',
  'Close',
  'Keep-Alive',
  'keep-alive, te',
  'x-a',
  'close, x-b',
  ' close',
  'upgrade',
  'te',
  ', close',
  'keep-alive,close',
  'x-close',
];
const REASONS = ['OK', '', 'Not Found', 'a\tb', 'gar\xe7on', ' two', 'OK '];
const FINAL = [200, 200, 200, 201, 204, 206, 301, 304, 400, 401, 404, 429, 500, 503, 599];

export function generateRequest(random: Random): string {
  const method = random.chance(92) ? random.pick(METHODS) : random.pick(RARE_METHODS);
  const host = random.pick(HOSTS);
  const version = random.chance(88) ? '1.1' : '1.0';
  const target = targetOf(random, method, host);
  const hasHost = version === '1.1' || random.chance(60);
  const fields = fieldsOf(random);
  if (hasHost) fields.splice(random.below(fields.length + 1), 0, `Host:${pad(random)}${host}${pad(random)}`);
  if (random.chance(25)) fields.push(`Connection: ${random.pick(CONNECTIONS)}`);
  if (random.chance(4)) fields.push('Expect: 100-continue');
  const mayHaveBody = method !== 'CONNECT' && random.chance(method === 'GET' || method === 'HEAD' ? 15 : 75);
  const body = mayHaveBody ? bodyOf(random, version === '1.1') : { field: null, bytes: '' };
  if (body.field !== null) fields.splice(random.below(fields.length + 1), 0, body.field);
  return `${method} ${target} HTTP/${version}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n${body.bytes}`;
}

/** One final response to `method`, maybe behind interim ones. */
export function generateResponse(random: Random, method: string): string {
  const interim = random.chance(12) ? random.text(3, () => `HTTP/1.1 10${random.pick(['0', '2', '3'])} X\r\n\r\n`) : '';
  const version = random.chance(88) ? '1.1' : '1.0';
  const status = random.chance(96) ? random.pick(FINAL) : 101;
  const fields = fieldsOf(random);
  if (random.chance(25)) fields.push(`Connection: ${random.pick(CONNECTIONS)}`);
  let bytes = '';
  if (status !== 204 && status !== 101) {
    const body = random.chance(10) ? { field: null, bytes: bytesOf(random, 40) } : bodyOf(random, version === '1.1');
    if (body.field !== null) fields.splice(random.below(fields.length + 1), 0, body.field);
    if (method !== 'HEAD' && status !== 304) bytes = body.bytes;
  }
  const head = fields.map((field) => `${field}\r\n`).join('');
  return `${interim}HTTP/${version} ${status} ${random.pick(REASONS)}\r\n${head}\r\n${bytes}`;
}

export function generateMethod(random: Random): string {
  return random.pick(['GET', 'GET', 'GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT']);
}

/** `name: value` without line end; the name is a token, the value has no control byte but HTAB. */
export function generateField(random: Random): string {
  const name = random.chance(85) ? random.pick(NAMES) : tokenOf(random);
  return `${name}:${pad(random)}${drawValue(random)}${after(random)}`;
}

function fieldsOf(random: Random): string[] {
  const count = random.chance(97) ? random.below(6) : random.between(30, 70);
  return Array.from({ length: count }, () => generateField(random));
}

function targetOf(random: Random, method: string, host: string): string {
  if (method === 'CONNECT') return /:[0-9]+$/.test(host) ? host : `${host}:443`;
  if (method === 'OPTIONS' && random.chance(40)) return '*';
  const path = `/${random.text(4, () => segmentOf(random), '/')}${random.chance(30) ? `?${segmentOf(random)}` : ''}`;
  return random.chance(12) ? `${random.pick(['http', 'https', 'HTTP'])}://${host}${path}` : path;
}

function segmentOf(random: Random): string {
  return random.pick([
    'v1',
    'models',
    'a%20b',
    '%2F',
    '..',
    '.',
    '',
    'x=1&y=2',
    '~a',
    'a+b',
    ';p',
    '%zz',
    '@:',
    'a|b',
    '{x}',
    '"',
    "'",
    '?',
  ]);
}

function bodyOf(random: Random, mayChunk: boolean): { readonly field: string; readonly bytes: string } {
  if (mayChunk && random.chance(50)) {
    const coding = random.chance(85) ? 'chunked' : random.pick(['Chunked', 'CHUNKED']);
    return { field: `Transfer-Encoding:${pad(random)}${coding}${after(random)}`, bytes: chunksOf(random) };
  }
  const bytes = bytesOf(random, 60);
  const name = random.pick(['Content-Length', 'content-length']);
  return { field: `${name}:${pad(random)}${bytes.length}${after(random)}`, bytes };
}

function chunksOf(random: Random): string {
  const chunks = random.text(5, () => {
    const bytes = bytesOf(random, 20) || 'x';
    const size = bytes.length.toString(16);
    const padded = random.chance(10) ? size.padStart(random.between(2, 8), '0') : size;
    return `${random.chance(20) ? padded.toUpperCase() : padded}${extensionOf(random)}\r\n${bytes}\r\n`;
  });
  const trailers = random.chance(15)
    ? random.text(2, () => `X-${tokenOf(random)}:${pad(random)}${drawValue(random)}\r\n`)
    : '';
  return `${chunks}${random.chance(10) ? '000' : '0'}${extensionOf(random)}\r\n${trailers}\r\n`;
}

function extensionOf(random: Random): string {
  return random.chance(90)
    ? ''
    : random.pick([';a', ';a=b', ';a="b c"', '; a = b', ';', ';;', ';\x80', ';a="\\""', ';a="']);
}

/** Bodies hold what looks like messages, so that whoever loses count takes them for such. */
function bytesOf(random: Random, most: number): string {
  switch (random.below(6)) {
    case 0:
      return 'GET /smuggled HTTP/1.1\r\nHost: b.test\r\n\r\n';
    case 1:
      return '0\r\n\r\n';
    case 2:
      return '\r\n'.repeat(random.below(4));
    default:
      return random.text(most, () => String.fromCharCode(random.below(256)));
  }
}

const pad = (random: Random): string => (random.chance(80) ? ' ' : random.pick(['', '\t', '  ', ' \t ']));
const after = (random: Random): string => (random.chance(90) ? '' : pad(random));
const tokenOf = (random: Random): string => random.pick(TCHAR) + random.text(6, () => random.pick(TCHAR));
const drawValue = (random: Random): string =>
  random.chance(70) ? random.pick(VALUES) : random.text(12, () => String.fromCharCode(random.between(0x21, 0x7e)));
