/**
 * Duty: decoded fields → pseudo fields and fields, checked by the rules of the version and by those of HTTP/1.1's codec.
 * Holds: pseudo fields come first, once, and are those that were asked for; names are lower-case tokens; no value has control
 *   bytes or outer white space; nothing that concerns a connection passes.
 * Fails: `StreamFault` `PROTOCOL_ERROR`: what RFC 9113 calls malformed.
 * Source: RFC 9113 §8.2, §8.3; RFC 9110 §5.5.
 * Not here: what the pseudo fields mean (request-head.ts, response-head.ts).
 */
import type { Field } from '../core/headers.ts';
import { belongsIntoHead, isAlias, isToken, plainLength } from '../core/http-grammar.ts';
import { StreamFault } from './faults.ts';
import type { TableField } from './static-table.ts';

export interface FieldSection {
  /** By name without the colon. */
  readonly pseudo: ReadonlyMap<string, string>;
  readonly fields: Field[];
  /** Null where there is none. */
  readonly contentLength: number | null;
  /** A name that a recipient further on may take for another. */
  readonly hasAlias: boolean;
}

const CONTROL = /[^\t\x20-\x7e\x80-\xff]/;
const OUTER_SPACE = /^[\t ]|[\t ]$/;
const UPPER = /[A-Z]/;
const OF_A_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

export const malformed = (stream: number, detail: string): StreamFault =>
  new StreamFault(stream, 'PROTOCOL_ERROR', detail);

/** `pseudoNames`: those that may stand there, without the colon. @throws StreamFault */
export function readFields(
  stream: number,
  decoded: readonly TableField[],
  pseudoNames: ReadonlySet<string>,
): FieldSection {
  const pseudo = new Map<string, string>();
  const fields: Field[] = [];
  let contentLength: number | null = null;
  let hasAlias = false;
  for (const { name, value } of decoded) {
    if (CONTROL.test(value)) throw malformed(stream, 'a control byte in a field');
    if (OUTER_SPACE.test(value)) throw malformed(stream, 'white space around the value of a field');
    if (name.charCodeAt(0) === 0x3a) {
      const key = name.slice(1);
      if (fields.length > 0) throw malformed(stream, 'a pseudo field behind a field');
      if (!pseudoNames.has(key)) throw malformed(stream, 'a pseudo field that does not belong here');
      if (pseudo.has(key)) throw malformed(stream, 'a pseudo field twice');
      pseudo.set(key, value);
      continue;
    }
    checkName(stream, name, value);
    if (name === 'content-length') {
      const length = plainLength(value);
      if (length === null) throw malformed(stream, 'content-length is not a plain decimal number');
      if (contentLength !== null) throw malformed(stream, 'more than one content-length');
      contentLength = length;
    }
    hasAlias ||= isAlias(name);
    fields.push({ name, key: name, value });
  }
  return { pseudo, fields, contentLength, hasAlias };
}

function checkName(stream: number, name: string, value: string): void {
  if (UPPER.test(name)) throw malformed(stream, 'a field name that is not lower-case');
  if (!isToken(name)) throw malformed(stream, 'a field name that is not a token');
  if (OF_A_CONNECTION.has(name)) throw malformed(stream, 'a field that belongs to a connection of HTTP/1.1');
  if (name === 'te' && value !== 'trailers') throw malformed(stream, 'te says something other than trailers');
}

const NO_PSEUDO: ReadonlySet<string> = new Set();

/** @throws StreamFault */
export function readTrailers(stream: number, decoded: readonly TableField[]): Field[] {
  const { fields, hasAlias } = readFields(stream, decoded, NO_PSEUDO);
  if (hasAlias || fields.some(({ key }) => belongsIntoHead(key)))
    throw malformed(stream, 'a trailer field that belongs into the head');
  return fields;
}
