/**
 * Duty: our HTTP/1.1 parsers: the cuts do not matter, other parsers understand what we accept as we do, and what we
 *   write from a head is read as that head again.
 */
import type { RequestHead, ResponseHead } from '../../../src/core/message.ts';
import { serializeRequestHead, serializeResponseHead } from '../../../src/http1/head-writer.ts';
import type { Random } from '../random.ts';
import { ACCEPTED, finding, REFUSED, type Sample, type Target, type Verdict } from '../target.ts';
import { llhttp, scriptParser } from './callback-reader.ts';
import { drawCase } from './cases.ts';
import { type Count, compare } from './compare.ts';
import { LLHTTP, SCRIPT } from './exceptions.ts';
import { type OwnReading, readOwn } from './own-reader.ts';
import { isSameList, type Message, type Reading, type WireCase } from './reading.ts';

const MOST_FIELDS = 100;

export const wireTarget: Target = {
  name: 'wire',
  weight: 100,
  draw(random: Random): Sample {
    const { raw, ...more } = drawCase(random);
    return { text: raw, more };
  },
  check: (sample, count) => checkWire(wireOf(sample), count),
};

export function wireOf({ text, more }: Sample): WireCase {
  const { direction, methods, cuts } = more as Omit<WireCase, 'raw'>;
  return { direction, methods, raw: text, cuts: cuts.filter((cut) => cut < text.length) };
}

export function checkWire(wire: WireCase, count: Count = () => {}): Verdict {
  const whole = { ...wire, cuts: [] };
  const ours = readOwn(whole);
  const other = compareCuts(ours, readOwn(wire));
  if (other !== null) return finding(other);
  if (ours.messages.length === 0) return REFUSED;
  const wrong =
    against('llhttp', llhttp.read(wire), ours, count) ??
    against('http-parser-js', scriptParser.read(wire), ours, count) ??
    checkWriter(ours, wire);
  return wrong === null ? ACCEPTED : finding(wrong);
}

function against(name: 'llhttp' | 'http-parser-js', theirs: Reading, ours: Reading, count: Count): string | null {
  const rules = name === 'llhttp' ? LLHTTP : SCRIPT;
  const wrong = compare(ours, theirs, rules, (why) => count(`${name}: ${why}`));
  return wrong === null ? null : `${name}: ${wrong}`;
}

function compareCuts(whole: Reading, cut: Reading): string | null {
  if (whole.refusal !== cut.refusal) return `cuts: whole ${whole.refusal}, in pieces ${cut.refusal}`;
  const isSame =
    whole.messages.length === cut.messages.length &&
    whole.messages.every((message, i) => isSameMessage(message, cut.messages[i]));
  return isSame ? null : 'cuts: whole and in pieces give other messages';
}

function isSameMessage(one: Message, other: Message | undefined): boolean {
  return (
    other !== undefined &&
    one.line === other.line &&
    one.body === other.body &&
    one.isWhole === other.isWhole &&
    one.keepAlive === other.keepAlive &&
    isSameList(one.fields, other.fields) &&
    isSameList(one.trailers, other.trailers)
  );
}

function checkWriter({ heads, messages }: OwnReading, wire: WireCase): string | null {
  let answered = 0;
  for (const [i, head] of heads.entries()) {
    const method = wire.methods[answered] ?? '';
    if ('status' in head && (head.status >= 200 || head.status === 101)) answered++;
    // Such a request is given a Host before it is sent on; and Connection may be one field too many.
    if (('method' in head && !head.headers.has('host')) || head.headers.size >= MOST_FIELDS) continue;
    const bytes = 'method' in head ? serializeRequestHead(head, []) : serializeResponseHead(head);
    const raw = bytes.toString('latin1');
    const again = readOwn({ direction: wire.direction, methods: [method], raw, cuts: [] }).heads[0];
    if (again === undefined) return `writer: what is written from message ${i + 1} is not read again`;
    if (meaningOf(head) !== meaningOf(again))
      return `writer: message ${i + 1} is read as another: ${messages[i]?.line}`;
  }
  return null;
}

/** Framing stands for its fields; version and connection are those of a hop. */
function meaningOf(head: RequestHead | ResponseHead): string {
  const fields = [...head.headers].filter(({ key }) => !/^(?:connection|content-length|transfer-encoding)$/.test(key));
  const line = 'method' in head ? [head.method, head.target, head.authority?.text] : [head.status, head.reason];
  return JSON.stringify([line, fields, head.framing]);
}
