/**
 * Duty: path patterns of rules and bindings: `/v1/models/*`, `/v1/files/**`.
 * In → Out: text → `PathPattern` or what is wrong with it; two patterns → can one path fall under both.
 * Not here: matching a request (policy/path-match.ts).
 */
import type { PathPattern } from '../policy/options.ts';

export type ParsedPattern = { readonly pattern: PathPattern } | { readonly fault: string; readonly hint: string };

const LITERAL = /^(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-F]{2})+$/;

export function parsePathPattern(text: string): ParsedPattern {
  if (!text.startsWith('/'))
    return { fault: 'does not begin with "/"', hint: 'write the path from its root, /v1/models' };
  if (/[?#]/.test(text)) return { fault: 'has a query or a fragment', hint: 'write the path alone' };
  const segments = text === '/' ? [] : text.slice(1).split('/');
  const rest = segments[segments.length - 1] === '**';
  if (rest) segments.pop();
  for (const [i, segment] of segments.entries()) {
    const fault = faultOf(segment, !rest && i === segments.length - 1);
    if (fault !== null) return fault;
  }
  return { pattern: { text, segments, rest } };
}

function faultOf(segment: string, isLast: boolean): { readonly fault: string; readonly hint: string } | null {
  if (segment === '*' || LITERAL.test(segment)) {
    return segment === '.' || segment === '..'
      ? { fault: 'has a dot segment', hint: 'write the path as it is meant' }
      : null;
  }
  if (segment === '') {
    if (isLast) return null;
    return { fault: 'has an empty segment ("//")', hint: 'one slash is enough' };
  }
  if (segment === '**')
    return { fault: 'has "**" before its end', hint: '"**" stands for the rest of the path and is the last segment' };
  if (segment.includes('*'))
    return { fault: 'has "*" inside a segment', hint: '"*" is one whole segment, "**" at the end is any rest' };
  return {
    fault: 'has a character that a path cannot have',
    hint: 'write it as the workload sends it, with upper-case percent escapes',
  };
}

/** One path can fall under both. A `**` takes no segment, too. */
export function patternsOverlap(one: PathPattern, other: PathPattern): boolean {
  const shorter = Math.min(one.segments.length, other.segments.length);
  for (let i = 0; i < shorter; i++) {
    const mine = one.segments[i];
    const theirs = other.segments[i];
    if (mine !== theirs && mine !== '*' && theirs !== '*') return false;
  }
  if (one.segments.length === other.segments.length) return true;
  return one.segments.length < other.segments.length ? one.rest : other.rest;
}
