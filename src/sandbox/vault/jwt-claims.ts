/**
 * Duty: what the claims of a verified JWT must say for a role.
 * In → Out: claims, role, now → null where all is well, or the text that Vault refuses with.
 * Holds: issuer, subject, audience, then times; one of `exp`, `nbf`, `iat` must be there; a clock may differ by a minute unless the
 *   role says otherwise.
 * Source: RFC 7519 §4.1; Vault API, "JWT/OIDC auth method", role parameters.
 */

export interface ClaimRules {
  /** Empty: not checked. */
  readonly boundIssuer: string;
  readonly boundSubject: string;
  readonly boundAudiences: readonly string[];
  readonly boundClaims: ReadonlyMap<string, unknown>;
  readonly boundClaimsType: 'string' | 'glob';
  /** `ms`; 0: the default, negative: none. */
  readonly clockSkewMs: number;
  readonly expirationLeewayMs: number;
  readonly notBeforeLeewayMs: number;
}

export type Claims = ReadonlyMap<string, unknown>;

const DEFAULT_SKEW_MS = 60_000;
const DEFAULT_LEEWAY_MS = 150_000;

const leeway = (ms: number, fallback: number): number => (ms === 0 ? fallback : Math.max(0, ms));

/** Standard claims first, then bound ones. */
export function claimFault(claims: Claims, rules: ClaimRules, now: number): string | null {
  const standard = standardFault(claims, rules) ?? timeFault(claims, rules, now);
  if (standard !== null) return `error validating token: ${standard}`;
  if (audiencesOf(claims).length > 0 && rules.boundAudiences.length === 0) {
    return 'audience claim found in JWT but no audiences bound to the role';
  }
  const bound = boundFault(claims, rules);
  return bound === null ? null : `error validating claims: ${bound}`;
}

function standardFault(claims: Claims, rules: ClaimRules): string | null {
  if (rules.boundIssuer !== '' && claims.get('iss') !== rules.boundIssuer) return 'invalid issuer (iss) claim';
  if (rules.boundSubject !== '' && claims.get('sub') !== rules.boundSubject) return 'invalid subject (sub) claim';
  const audiences = audiencesOf(claims);
  if (rules.boundAudiences.length > 0 && !rules.boundAudiences.some((bound) => audiences.includes(bound))) {
    return 'invalid audience (aud) claim: audience claim does not match any expected audience';
  }
  return null;
}

function audiencesOf(claims: Claims): readonly unknown[] {
  const audience = claims.get('aud');
  if (audience === undefined || audience === null) return [];
  return Array.isArray(audience) ? audience : [audience];
}

function timeFault(claims: Claims, rules: ClaimRules, now: number): string | null {
  const expiresAt = epochMs(claims.get('exp'));
  const notBefore = epochMs(claims.get('nbf'));
  const issuedAt = epochMs(claims.get('iat'));
  if (expiresAt === null && notBefore === null && issuedAt === null) {
    return 'no issued at (iat), not before (nbf), or expiration time (exp) claims in token';
  }
  const skewMs = leeway(rules.clockSkewMs, DEFAULT_SKEW_MS);
  const from = notBefore ?? issuedAt ?? (expiresAt ?? 0) - leeway(rules.notBeforeLeewayMs, DEFAULT_LEEWAY_MS);
  const until =
    expiresAt ?? Math.max(notBefore ?? 0, issuedAt ?? 0) + leeway(rules.expirationLeewayMs, DEFAULT_LEEWAY_MS);
  if (now + skewMs < from) return 'invalid not before (nbf) claim: token not yet valid';
  if (now - skewMs > until) return 'invalid expiration time (exp) claim: token is expired';
  if (issuedAt !== null && now + skewMs < issuedAt) return 'invalid issued at (iat) claim: token issued in the future';
  return null;
}

function epochMs(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value * 1_000 : null;
}

function boundFault(claims: Claims, rules: ClaimRules): string | null {
  for (const [name, wanted] of rules.boundClaims) {
    const shown = claimAt(claims, name);
    if (shown === undefined || shown === null) return `claim "${name}" is missing`;
    const wantedList = Array.isArray(wanted) ? wanted : [wanted];
    const shownList = Array.isArray(shown) ? shown : [shown];
    const isMet = wantedList.some((want) => shownList.some((show) => isSame(want, show, rules.boundClaimsType)));
    if (!isMet) return `claim "${name}" does not match any associated bound claim values`;
  }
  return null;
}

function isSame(wanted: unknown, shown: unknown, type: 'string' | 'glob'): boolean {
  if (type === 'string') return wanted === shown;
  return typeof wanted === 'string' && typeof shown === 'string' && matchesGlob(wanted, shown);
}

/** `*` stands for any text; walked without a regular expression, for the pattern comes from outside. */
export function matchesGlob(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return pattern === text;
  const last = rest.pop() ?? '';
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= text.length - last.length;
}

/** A name, or a JSON pointer (RFC 6901) where it begins with a slash. */
export function claimAt(claims: Claims, name: string): unknown {
  if (!name.startsWith('/')) return claims.get(name);
  let value: unknown = Object.fromEntries(claims);
  for (const part of name.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
