/**
 * Duty: requests, as strictly as HTTP/1.1's: where one goes can be read in one way only.
 * In → Out: decoded fields → RequestHead, or why there is none; RequestHead → pseudo fields and fields.
 * Holds: exactly :method, :scheme, :authority and :path; Host, where it is there, says the same as :authority and stands among
 *   the fields once, first, since signatures and rules know it by that name; crumbs of cookies are one field.
 * Fails: `StreamFault` for what RFC 9113 calls malformed; as a value, for what has an answer: `request_malformed`,
 *   `request_target_too_long`, `request_method_unsupported`, `expectation_failed`, `authority_malformed`, `authority_mismatch`.
 * Source: RFC 9113 §8.1.1, §8.2.3, §8.3.1, §8.5; RFC 8441 is not spoken.
 * Not here: whether it may go there (policy/); whether the authority is the tunnel's (tunnel/).
 */
import { type Authority, parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { type Field, HeaderList } from '../core/headers.ts';
import { isRefusedMethod, isTargetText, isToken } from '../core/http-grammar.ts';
import type { Framing, RequestHead } from '../core/message.ts';
import { type FieldSection, malformed, readFields } from './field-rules.ts';
import type { PseudoField } from './hpack-encoder.ts';
import type { TableField } from './static-table.ts';

const PSEUDO: ReadonlySet<string> = new Set(['method', 'scheme', 'authority', 'path']);
const NO_BODY: Framing = Object.freeze({ kind: 'none' });
const UNKNOWN_LENGTH: Framing = Object.freeze({ kind: 'chunked' });

/** What is answered, beside the head as far as it can be told to the record. */
export interface Misfit {
  readonly refusal: EgressError;
}

const refuse = (...error: ConstructorParameters<typeof EgressError>): Misfit => ({
  refusal: new EgressError(...error),
});

/** `wanted`: what :scheme must say. @throws StreamFault */
export function readRequestHead(
  stream: number,
  decoded: readonly TableField[],
  endsStream: boolean,
  maxTargetBytes: number,
  wanted: 'http' | 'https' = 'https',
): RequestHead | Misfit {
  const section = readFields(stream, decoded, PSEUDO);
  const method = section.pseudo.get('method') ?? '';
  if (!isToken(method)) throw malformed(stream, 'there is no :method, or it is not a token');
  if (method === 'CONNECT') return refuse('request_method_unsupported', { detail: 'CONNECT inside a tunnel' });
  const { scheme, authority, path } = placeOf(stream, section);
  if (endsStream && section.contentLength !== null && section.contentLength > 0)
    throw malformed(stream, 'content-length announces a body that is not there');
  if (isRefusedMethod(method))
    return refuse('request_method_unsupported', { detail: 'TRACE, a variant of HEAD or CONNECT, or too long' });
  if (scheme !== wanted) return refuse('request_malformed', { detail: `:scheme is not ${wanted} here` });
  if (section.hasAlias) return refuse('request_malformed', { detail: 'a field name that can be taken for another' });
  if (path.length > maxTargetBytes)
    return refuse('request_target_too_long', { detail: 'the target has more bytes than the limit' });
  if (path === '*' ? method !== 'OPTIONS' : !path.startsWith('/') || !isTargetText(path))
    return refuse('request_malformed', { detail: ':path is no path, or has a character that a path cannot hold' });
  return headOf({ method, path, authority, port: wanted === 'https' ? 443 : 80, endsStream, section });
}

/** @throws StreamFault */
function placeOf(stream: number, { pseudo }: FieldSection): { scheme: string; authority: string; path: string } {
  const scheme = pseudo.get('scheme');
  const authority = pseudo.get('authority');
  const path = pseudo.get('path') ?? '';
  if (scheme === undefined) throw malformed(stream, 'there is no :scheme');
  if (path === '') throw malformed(stream, 'there is no :path, or it is empty');
  if (authority === undefined) throw malformed(stream, 'there is no :authority');
  return { scheme, authority, path };
}

interface HeadParts {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  /** Where the authority names none. */
  readonly port: number;
  readonly endsStream: boolean;
  readonly section: FieldSection;
}

function headOf({ method, path: target, authority: text, port, endsStream, section }: HeadParts): RequestHead | Misfit {
  const { fields, contentLength } = section;
  const expects = fields.filter(({ key }) => key === 'expect');
  if (expects.length > 1 || expects.some(({ value }) => !/^100-continue$/i.test(value)))
    return refuse('expectation_failed', { detail: 'an expectation other than 100-continue' });
  let authority: Authority;
  try {
    authority = parseAuthority(text, port);
    const hosts = fields.filter(({ key }) => key === 'host');
    if (hosts.length > 1) return refuse('request_malformed', { detail: 'more than one Host field' });
    if (hosts.some(({ value }) => parseAuthority(value, port).text !== authority.text))
      return refuse('authority_mismatch', { detail: 'Host differs from :authority' });
  } catch (thrown) {
    if (thrown instanceof EgressError) return { refusal: thrown };
    throw thrown;
  }
  const mark = target.indexOf('?');
  const framing: Framing = framingOf(contentLength, endsStream);
  return {
    method,
    target,
    form: target === '*' ? 'asterisk' : 'origin',
    authority,
    scheme: null,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? null : target.slice(mark + 1),
    version: '2',
    headers: HeaderList.owning([{ name: 'host', key: 'host', value: text }, ...endToEnd(fields)]),
    framing,
    expectsContinue: expects.length > 0 && !endsStream,
    keepAlive: true,
  };
}

function framingOf(contentLength: number | null, endsStream: boolean): Framing {
  if (contentLength !== null) return { kind: 'length', length: contentLength };
  return endsStream ? NO_BODY : UNKNOWN_LENGTH;
}

/** Without Host, which comes first, and with one cookie (RFC 9113 §8.2.3). */
function endToEnd(fields: readonly Field[]): Field[] {
  const kept: Field[] = [];
  let cookie: number | null = null;
  for (const field of fields) {
    if (field.key === 'host') continue;
    const crumb = field.key === 'cookie' && cookie !== null ? kept[cookie] : undefined;
    if (crumb !== undefined && cookie !== null) {
      kept[cookie] = { ...crumb, value: `${crumb.value}; ${field.value}` };
      continue;
    }
    if (field.key === 'cookie') cookie = kept.length;
    kept.push(field);
  }
  return kept;
}

/** For the way out. Framing fields are written from `framing` alone, as by the codec of HTTP/1.1. */
export function outgoingRequest(head: RequestHead): { readonly pseudo: PseudoField[]; readonly fields: Field[] } {
  const { framing } = head;
  const pseudo: PseudoField[] = [
    [':method', head.method],
    [':scheme', 'https'],
    [':authority', head.headers.get('host') ?? ''],
    [':path', head.target],
  ];
  const fields = head.headers.fields.filter(
    ({ key }) => key !== 'host' && key !== 'content-length' && !isOfAConnection(key),
  );
  if (framing.kind === 'length') fields.push(lengthField(framing.length));
  return { pseudo, fields };
}

export const lengthField = (length: number): Field => ({
  name: 'content-length',
  key: 'content-length',
  value: String(length),
});

/** Never to be written: a peer must take them for malformed. */
export function isOfAConnection(key: string): boolean {
  return (
    key === 'connection' ||
    key === 'transfer-encoding' ||
    key === 'upgrade' ||
    key === 'keep-alive' ||
    key === 'proxy-connection'
  );
}
