/**
 * Duty: damages text in the ways that parsers are known to disagree about.
 * Holds: text is Latin-1, one character a byte; what comes out is at most `MAX_BYTES` long.
 */
import type { Random } from './random.ts';

const MAX_BYTES = 20_000;
const SPECIALS = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\x0b',
  '\x0c',
  '\x7f',
  '\x80',
  '\x85',
  '\xa0',
  '\xff',
  '"',
  '\\',
  '_',
  '.',
  '0',
  '+',
  '-',
  '%',
  '#',
  '/',
  '?',
  '@',
  '=',
  'x',
  '\x1f',
  '\r\r\n',
  '\n\r',
  '\r\n ',
  '\r\n\t',
  '\r\n\r\n',
  '[',
  ']',
];
const LINES = [
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: 05',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length:',
  'Content-Length: 0x5',
  'Content-Length: 5 ',
  'Content_Length: 5',
  'Content-Length : 5',
  'content-length\t: 5',
  ' Content-Length: 5',
  'Content-Length: 18446744073709551617',
  'Content-Length: -0',
  'Content-Length: 5\x0b',
  'Content-Length: 1e1',
  'Content-Length: 999999999999999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;a=b',
  'X: a\r\n b',
  'Transfer-Encoding: ,chunked',
  'TE: trailers',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: close, keep-alive',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Connection: content-length',
  'Connection: transfer-encoding',
  'Upgrade: h2c',
  'Host: b.test',
  'Host:',
  'Host: a.test, b.test',
  'Host : a.test',
  'Expect: 100-continue',
  'Expect: x',
  'X',
  ': x',
  'X:',
  'X :y',
  '\0: a',
  'Proxy-Connection: close',
  'Proxy-Connection: keep-alive',
  'Trailer: X-A',
  'Pragma: no-cache',
  'Connection: ,',
  'Connection:\tclose',
  'GET / HTTP/1.1',
  'HTTP/1.1 200 OK',
  'Keep-Alive: timeout=1',
  'HTTP/1.1 100 Continue\r\n',
];
const LINE_ENDS = [
  '\n',
  '\r',
  '\r\r\n',
  '\n\r',
  '\r\n ',
  '\r\n\t',
  '\r\n\r\n',
  '',
  ' \r\n',
  '\0\r\n',
  '\r \n',
  '\r ',
  ' \n',
  '\r\0',
  'xx',
];
const NUMBERS = [
  '0',
  '00',
  '1',
  '-1',
  '+1',
  '1.0',
  '0x10',
  '99999999',
  '4294967296',
  '18446744073709551616',
  '1_0',
  '',
  'f',
  'g',
  'FFFFFFFF',
  '100000000',
];

type Mutation = (text: string, random: Random, other: () => string) => string;

const at = (text: string, random: Random): number => random.below(text.length + 1);
const spliced = (text: string, start: number, end: number, put: string): string =>
  text.slice(0, start) + put + text.slice(end);

/** A place next to something that means something. */
function hotspot(text: string, random: Random): number {
  const start = at(text, random);
  const found = text.slice(start).search(/[\r\n:;, /?=]/);
  return found === -1 ? start : start + found + random.below(2);
}

/** Start and end of a line, with its line end. */
function lineAt(text: string, random: Random): readonly [number, number] {
  const lines = [...text.matchAll(/[^\n]*\n/g)];
  if (lines.length === 0) return [0, text.length];
  const line = random.pick(lines.slice(0, 80));
  return [line.index, line.index + line[0].length];
}

function inHead(text: string, random: Random): number {
  const ends = [...text.matchAll(/\r\n/g)].slice(0, 80).map(({ index }) => index + 2);
  return ends.length === 0 ? 0 : random.pick(ends);
}

const flipByte: Mutation = (text, random) => {
  const place = random.below(text.length);
  const code = text.charCodeAt(place) || 0;
  const put = random.chance(50) ? code ^ (1 << random.below(8)) : random.below(256);
  return spliced(text, place, place + 1, String.fromCharCode(put & 0xff));
};
const insertSpecial: Mutation = (text, random) => {
  const place = random.chance(70) ? hotspot(text, random) : at(text, random);
  return spliced(text, place, place, random.pick(SPECIALS));
};
const replaceBySpecial: Mutation = (text, random) => {
  const place = hotspot(text, random);
  return spliced(text, place, place + 1, random.pick(SPECIALS));
};
const removeRange: Mutation = (text, random) => {
  const place = at(text, random);
  return spliced(text, place, place + random.between(1, random.chance(80) ? 3 : 40), '');
};
const repeatRange: Mutation = (text, random) => {
  const place = at(text, random);
  const range = text.slice(place, place + random.between(1, 20));
  return spliced(text, place, place, range.repeat(random.chance(97) ? random.between(1, 3) : random.between(50, 300)));
};
const duplicateLine: Mutation = (text, random) => {
  const [start, end] = lineAt(text, random);
  const place = random.chance(60) ? end : inHead(text, random);
  return spliced(text, place, place, text.slice(start, end));
};
const removeLine: Mutation = (text, random) => {
  const [start, end] = lineAt(text, random);
  return spliced(text, start, end, '');
};
const addLine: Mutation = (text, random) => {
  const place = inHead(text, random);
  return spliced(text, place, place, `${random.pick(LINES)}\r\n`);
};
const changeName: Mutation = (text, random) => {
  const [start] = lineAt(text, random);
  const length = text.slice(start).search(/[^A-Za-z0-9_.-]/);
  const name = text.slice(start, start + Math.max(0, length));
  const changes = [
    name.toUpperCase(),
    name.toLowerCase(),
    name.replace('-', '_'),
    name.replace('-', '.'),
    name.replace('-', ''),
  ];
  return spliced(text, start, start + name.length, random.pick([...changes, `${name}-`, `X-${name}`, name.slice(1)]));
};
const changeNumber: Mutation = (text, random) => {
  const numbers = [...text.matchAll(/[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*/g)].slice(0, 60);
  if (numbers.length === 0) return text;
  const { index, 0: found } = random.pick(numbers);
  const changes = [
    `0${found}`,
    `${found}0`,
    `+${found}`,
    String(Number(found) + 1),
    String(Number(found) - 1),
    `${found} `,
    ` ${found}`,
  ];
  return spliced(text, index, index + found.length, random.pick([...changes, random.pick(NUMBERS)]));
};
const changeLineEnd: Mutation = (text, random) => {
  const ends = [...text.matchAll(/\r\n/g)].slice(0, 80);
  if (ends.length === 0) return text;
  const { index } = random.pick(ends);
  return spliced(text, index, index + 2, random.pick(LINE_ENDS));
};
const swapCase: Mutation = (text, random) => {
  const place = at(text, random);
  const end = place + random.between(1, 8);
  const range = text.slice(place, end);
  return spliced(text, place, end, range === range.toLowerCase() ? range.toUpperCase() : range.toLowerCase());
};
const truncate: Mutation = (text, random) => text.slice(0, at(text, random));
const splice: Mutation = (text, random, other) => {
  const foreign = other();
  return text.slice(0, hotspot(text, random)) + foreign.slice(hotspot(foreign, random));
};
const pipeline: Mutation = (text, _random, other) => text + other();

const MUTATIONS: readonly Mutation[] = [
  flipByte,
  flipByte,
  insertSpecial,
  insertSpecial,
  insertSpecial,
  replaceBySpecial,
  removeRange,
  repeatRange,
  duplicateLine,
  removeLine,
  addLine,
  addLine,
  addLine,
  changeName,
  changeNumber,
  changeNumber,
  changeLineEnd,
  swapCase,
  swapCase,
  truncate,
  splice,
  pipeline,
  pipeline,
];

/** `other` gives another message of the same kind. */
export function mutate(text: string, random: Random, other: () => string): string {
  let mutant = text;
  for (let rounds = random.pick([1, 1, 1, 1, 2, 2, 3, 5]); rounds > 0 && mutant.length > 0; rounds--) {
    mutant = random.pick(MUTATIONS)(mutant, random, other).slice(0, MAX_BYTES);
  }
  return mutant;
}
