/**
 * Duty: the request head as it goes upstream, before a credential is put in.
 * In → Out: head as received, authority of the permit → fields; fields and target → head in origin-form.
 * Holds: Host is the permit's authority and comes first; nothing that concerned the hop to us goes on. On an injected route
 *   nothing goes on that lets a server see another method, path or user than policy saw, nor a coding that hides an echo.
 * Fails: `request_method_unsupported` for CONNECT, and for TRACE on an injected route.
 * Source: RFC 9110 §7.6.1 (Connection), §7.2 (Host), §12.5.3; RFC 9112 §3.2.
 * Not here: credential slots (slots.ts); the framing of what is written (http1/).
 */
import type { Authority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { type Field, HeaderList } from '../core/headers.ts';
import type { Framing, RequestHead } from '../core/message.ts';

/** With the two framing fields: they are written anew from `framing`, which is what the body really has. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  // Trailer fields end here.
  'trailer',
  'http2-settings',
  'forwarded',
  // No extension is negotiated: frames must be readable on their way back.
  'sec-websocket-extensions',
  'content-length',
  'transfer-encoding',
]);
/** Read by frameworks and front servers in place of the request line. */
const OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-method',
  'x-original-url',
  'x-original-uri',
  'x-original-host',
  'x-rewrite-url',
  'x-host',
]);
/** Of what Connection names, these stay: the body would be read in another way without them. */
const NEVER_NOMINATED: ReadonlySet<string> = new Set(['content-type', 'content-encoding', 'te']);

const IDENTITY: Field = { name: 'Accept-Encoding', key: 'accept-encoding', value: 'identity' };

/** Fields that go on, as received, Host first. @throws EgressError `request_method_unsupported`. */
export function outgoingFields(head: RequestHead, authority: Authority, isInjected: boolean): Field[] {
  if (head.form === 'authority' || head.method === 'CONNECT')
    throw new EgressError('request_method_unsupported', { detail: 'CONNECT inside a tunnel' });
  if (isInjected && (head.method === 'TRACE' || head.method === 'TRACK'))
    throw new EgressError('request_method_unsupported', { detail: 'TRACE would send the credential back' });
  const nominated = nominatedBy(head.headers);
  const fields: Field[] = [{ name: 'Host', key: 'host', value: hostValue(authority, schemeOf(head)) }];
  for (const field of head.headers.fields) {
    if (isForThisHop(field, nominated) || (isInjected && isStrippedBeforeInjection(field.key))) continue;
    fields.push(field);
  }
  if (isInjected) fields.push(IDENTITY);
  return fields;
}

function isForThisHop({ key, value }: Field, nominated: ReadonlySet<string> | null): boolean {
  if (HOP_BY_HOP.has(key) || key.startsWith('proxy-') || key.startsWith('x-forwarded-')) return true;
  if (key === 'te') return value.toLowerCase() !== 'trailers';
  return nominated?.has(key) ?? false;
}

function isStrippedBeforeInjection(key: string): boolean {
  // CGI-like servers read `_` as `-`.
  const name = key.includes('_') ? key.replaceAll('_', '-') : key;
  return name === 'cookie' || name === 'accept-encoding' || name === 'grpc-accept-encoding' || OVERRIDES.has(name);
}

function nominatedBy(headers: HeaderList): ReadonlySet<string> | null {
  let nominated: Set<string> | null = null;
  for (const { key, value } of headers.fields) {
    if (key !== 'connection') continue;
    for (const part of value.split(',')) {
      const option = /^[ \t]*([!-~]+)[ \t]*$/.exec(part)?.[1]?.toLowerCase();
      if (option === undefined || NEVER_NOMINATED.has(option)) continue;
      nominated ??= new Set();
      nominated.add(option);
    }
  }
  return nominated;
}

/** Origin-form requests come out of a TLS tunnel. */
export const schemeOf = (head: RequestHead): 'http' | 'https' => (head.scheme === 'http' ? 'http' : 'https');

function hostValue({ text, port }: Authority, scheme: 'http' | 'https'): string {
  const isDefault = port === (scheme === 'https' ? 443 : 80);
  return isDefault ? text.slice(0, text.lastIndexOf(':')) : text;
}

export interface OutgoingParts {
  /** Handed over. */
  readonly fields: Field[];
  readonly path: string;
  readonly query: string | null;
  readonly framing: Framing;
}

/** Path of the origin-form: what absolute-form leaves out is `/`, or `*` for OPTIONS (RFC 9112 §3.2.4). */
export function outgoingPath(head: RequestHead): string {
  if (head.path !== '') return head.path;
  return head.method === 'OPTIONS' && head.query === null ? '*' : '/';
}

export const targetOf = (path: string, query: string | null): string => (query === null ? path : `${path}?${query}`);

export function outgoingHead(received: RequestHead, authority: Authority, parts: OutgoingParts): RequestHead {
  const { fields, path, query, framing } = parts;
  const head: RequestHead = {
    method: received.method,
    target: targetOf(path, query),
    form: path === '*' ? 'asterisk' : 'origin',
    authority,
    scheme: schemeOf(received),
    path,
    query,
    version: '1.1',
    headers: HeaderList.owning(fields),
    framing,
    expectsContinue: received.expectsContinue,
    keepAlive: true,
  };
  return received.upgrade === undefined ? head : { ...head, upgrade: received.upgrade };
}
