/**
 * Duty: finds and removes parameters of a raw query.
 * In → Out: raw query, lower-case names → whether one is there; the query without them.
 * Holds: what stays keeps its bytes and its order. A name is compared as a server would read it (escapes decoded, ASCII
 *   case ignored), so that `k%65y` is `key`.
 * Not here: the canonical query of a signature (sigv4/canonical-request.ts).
 */
import { unescaped } from '../core/percent-escapes.ts';

/** Name of one `&`-separated part as a server reads it, in lower case. */
export function parameterName(part: string): string {
  const equals = part.indexOf('=');
  const raw = equals === -1 ? part : part.slice(0, equals);
  return unescaped(raw).toLowerCase();
}

export function hasParameter(query: string | null, names: ReadonlySet<string>): boolean {
  return query !== null && query !== '' && query.split('&').some((part) => names.has(parameterName(part)));
}

/** Null where nothing is left. */
export function withoutParameters(query: string | null, names: ReadonlySet<string>): string | null {
  if (!hasParameter(query, names) || query === null) return query;
  const kept = query.split('&').filter((part) => !names.has(parameterName(part)));
  return kept.length === 0 ? null : kept.join('&');
}
