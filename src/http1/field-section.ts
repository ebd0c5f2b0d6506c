/**
 * Duty: field lines → fields, and beside them what decides about framing, routing and the connection.
 * In → Out: `Content-Type: text/plain` … → Field[] with the values of Host, Content-Length and their like picked out.
 * Holds: every name is a token directly followed by its colon; no folding; values without outer SP and HTAB.
 * Fails: `malformed` and `tooLarge` of the `CodecFaults`.
 * Source: RFC 9110 §5, §6.5.1, §7.6.1; RFC 9112 §5.
 * Not here: what the picked values mean for a message (request-parser.ts, response-parser.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { Field } from '../core/headers.ts';
import { isAlias, isToken } from '../core/http-grammar.ts';
import type { CodecFaults, Section } from './wire-input.ts';

/** Values of the fields that the codec itself acts on, in arrival order. */
export interface FieldSection {
  readonly fields: Field[];
  hosts: readonly string[];
  contentLengths: readonly string[];
  transferCodings: readonly string[];
  connections: readonly string[];
  expects: readonly string[];
  /** A name that a recipient further on may take for one that decides about framing, routing or credentials. */
  hasAlias: boolean;
}

type Picked = Exclude<keyof FieldSection, 'fields' | 'hasAlias'>;

interface KnownName {
  readonly name: string;
  readonly key: string;
  readonly picked: Picked | null;
}

const PICKED: ReadonlyMap<string, Picked> = new Map([
  ['host', 'hosts'],
  ['content-length', 'contentLengths'],
  ['transfer-encoding', 'transferCodings'],
  ['connection', 'connections'],
  ['expect', 'expects'],
]);

/** Spellings that need neither a check nor a new string. */
const KNOWN: ReadonlyMap<string, KnownName> = new Map(
  (
    'Host Content-Length Transfer-Encoding Connection Expect Accept Accept-Encoding Accept-Language Accept-Ranges ' +
    'Authorization Proxy-Authorization Proxy-Connection Age Allow Cache-Control Content-Encoding Content-Type Cookie ' +
    'Date ETag Expires If-Match If-None-Match If-Modified-Since Keep-Alive Last-Modified Link Location Origin Pragma ' +
    'Range Referer Retry-After Server Set-Cookie Strict-Transport-Security TE Trailer Traceparent Tracestate Upgrade ' +
    'User-Agent Vary Via WWW-Authenticate X-Api-Key X-Amz-Date X-Amz-Content-Sha256 X-Amz-Security-Token ' +
    'X-Amz-Target X-Amz-User-Agent X-Amzn-RequestId X-Amz-Request-Id X-Amz-Id-2 Amz-Sdk-Invocation-Id ' +
    'Amz-Sdk-Request Anthropic-Version Anthropic-Beta OpenAI-Organization OpenAI-Processing-Ms OpenAI-Version ' +
    'X-Request-Id X-Stainless-Lang X-Stainless-Package-Version X-Stainless-OS X-Stainless-Arch X-Stainless-Runtime ' +
    'X-Stainless-Runtime-Version X-Stainless-Retry-Count X-Stainless-Timeout X-Stainless-Async Sec-Fetch-Mode'
  )
    .split(' ')
    .flatMap((name) => [name, name.toLowerCase()])
    .map((name) => [name, nameOf(name)]),
);

/** One of the usual spellings, which are tokens all. */
export function isKnownName(name: string): boolean {
  return KNOWN.has(name);
}

/** Fields of the lines from `firstLine` on. @throws EgressError */
export function parseFields(section: Section, firstLine: number, maxFields: number, faults: CodecFaults): FieldSection {
  const { text, ends } = section;
  if (ends.length - firstLine > maxFields) {
    throw new EgressError(faults.tooLarge, { detail: 'more fields than the limit' });
  }
  const result: FieldSection = {
    fields: [],
    hosts: NONE,
    contentLengths: NONE,
    transferCodings: NONE,
    connections: NONE,
    expects: NONE,
    hasAlias: false,
  };
  let start = firstLine === 0 ? 0 : (ends[firstLine - 1] as number) + 2;
  for (let line = firstLine; line < ends.length; line++) {
    const end = ends[line] as number;
    const colon = text.indexOf(':', start);
    if (colon === -1 || colon >= end) throw malformed(faults, 'a field line without a colon');
    const written = text.slice(start, colon);
    let known = KNOWN.get(written);
    if (known === undefined) {
      known = checkedName(written, faults);
      if (isAlias(known.key)) result.hasAlias = true;
    }
    const value = sliceTrimmed(text, colon + 1, end);
    // llhttp takes HTAB behind `chunked` for a part of the coding, and reads the body up to the connection's end.
    if (known.picked === 'transferCodings' && text.slice(colon, end).includes('\t')) {
      throw malformed(faults, 'a tab in Transfer-Encoding');
    }
    result.fields.push({ name: known.name, key: known.key, value });
    if (known.picked !== null) result[known.picked] = withAnother(result[known.picked], value);
    start = end + 2;
  }
  return result;
}

const NONE: readonly string[] = Object.freeze([]);

/** Nearly always the first, for which a list of its own size is smaller than one that could grow. */
function withAnother(values: readonly string[], value: string): readonly string[] {
  if (values === NONE) return [value];
  return [...values, value];
}

export function trimOuterSpace(text: string): string {
  return sliceTrimmed(text, 0, text.length);
}

function sliceTrimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isOuterSpace(text.charCodeAt(start))) start++;
  while (end > start && isOuterSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isOuterSpace = (code: number): boolean => code === 0x20 || code === 0x09;

function nameOf(name: string): KnownName {
  const key = name.toLowerCase();
  return { name, key, picked: PICKED.get(key) ?? null };
}

function checkedName(name: string, faults: CodecFaults): KnownName {
  if (isToken(name)) return nameOf(name);
  const first = name.charCodeAt(0);
  if (first === 0x20 || first === 0x09) throw malformed(faults, 'a folded field line');
  if (/[\t ]$/.test(name)) throw malformed(faults, 'white space before the colon of a field');
  throw malformed(faults, 'a field name that is not a token');
}

function malformed(faults: CodecFaults, detail: string): EgressError {
  return new EgressError(faults.malformed, { detail });
}
