/**
 * Duty: the request target, taken apart but not changed.
 * In → Out: method and target → form, scheme, authority, path, query.
 * Holds: visible ASCII without `#` and `\`; a form only with the methods it is for; no user information.
 * Fails: `request_malformed`, `authority_malformed`.
 * Source: RFC 9112 §3.2.
 * Not here: whether a path is ambiguous for a rule (policy/); Host (request-parser.ts).
 */
import { type Authority, parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { isTargetText } from '../core/http-grammar.ts';
import type { TargetForm } from '../core/message.ts';

export interface RequestTarget {
  readonly form: TargetForm;
  readonly scheme: 'http' | 'https' | null;
  /** Null where Host has to say it. */
  readonly authority: Authority | null;
  readonly path: string;
  readonly query: string | null;
}

const ASTERISK: RequestTarget = Object.freeze({
  form: 'asterisk',
  scheme: null,
  authority: null,
  path: '*',
  query: null,
});

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });

/** @throws EgressError */
export function parseTarget(method: string, target: string): RequestTarget {
  if (!isTargetText(target)) throw malformed('the target is empty or holds a character that a target cannot hold');
  if (method === 'CONNECT') {
    return { form: 'authority', scheme: null, authority: parseAuthority(target), path: '', query: null };
  }
  if (target.charCodeAt(0) === 0x2f) return { form: 'origin', scheme: null, authority: null, ...pathOf(target) };
  if (target === '*') {
    if (method !== 'OPTIONS') throw malformed('asterisk-form with a method other than OPTIONS');
    return ASTERISK;
  }
  return absolute(target);
}

export function defaultPortOf(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}

function absolute(target: string): RequestTarget {
  // The target is ASCII here, so lower case cannot make a letter out of something else.
  const start = target.slice(0, 8).toLowerCase();
  const scheme = start === 'https://' ? 'https' : start.startsWith('http://') ? 'http' : null;
  if (scheme === null) throw malformed('the target is neither a path nor an http or https URI');
  const rest = target.slice(scheme.length + 3);
  const end = rest.search(/[/?]/);
  const authority = parseAuthority(end === -1 ? rest : rest.slice(0, end), defaultPortOf(scheme));
  const { path, query } = pathOf(end === -1 ? '' : rest.slice(end));
  return { form: 'absolute', scheme, authority, path: path === '' ? '/' : path, query };
}

function pathOf(text: string): { path: string; query: string | null } {
  const mark = text.indexOf('?');
  return mark === -1 ? { path: text, query: null } : { path: text.slice(0, mark), query: text.slice(mark + 1) };
}
