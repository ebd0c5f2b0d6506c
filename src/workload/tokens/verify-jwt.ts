/**
 * Duty: whether a JSON Web Token is what it says.
 * In → Out: token, rules, keys → its claims.
 * Holds: the algorithm is one of a list and fits the key; keys come from our own source, never from the token (`jwk`, `jku`,
 *   `x5c`, `x5u` are not read); an audience of ours and an end are required; extensions that must be understood are not.
 * Fails: `identity_required`; the detail says what is wrong and quotes nothing of the token.
 * Source: RFC 7519 §7.2; RFC 7515 §4.1.11; RFC 8725.
 */
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { unproven } from './json-request.ts';
import type { KeySource } from './key-source.ts';

export interface JwtRules {
  /** Null: `iss` is not looked at. */
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly algorithms: readonly string[];
  /** Values of `typ` in lower case; a token may also have none. */
  readonly types: readonly string[];
  readonly clockSkewMs: number;
  /** From `iat` (from now where there is none) to `exp`; null: any. */
  readonly maxLifetimeMs: number | null;
}

export interface VerifiedClaims extends JWTPayload {
  readonly sub: string;
  readonly exp: number;
}

export const MAX_TOKEN_LENGTH = 8_192;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** The last time that a Date can have; later than any tunnel. */
const MAX_EPOCH_MS = 8_640_000_000_000_000;

/** What an unverified token says of itself, to find out whose it is; null where it is no JWT. */
export function claimedBy(token: string): JWTPayload | null {
  if (token.length > MAX_TOKEN_LENGTH || !COMPACT.test(token)) return null;
  try {
    return decodeJwt(token);
  } catch {
    return null;
  }
}

/** Whether it has three parts, as every signed JWT. Larger ones are so too, and are then refused by name. */
export const looksLikeJwt = (token: string): boolean => COMPACT.test(token);

/** @throws EgressError `identity_required`. */
export async function verifyJwt(
  token: string,
  rules: JwtRules,
  keys: KeySource,
  clock: Clock,
): Promise<VerifiedClaims> {
  if (token.length > MAX_TOKEN_LENGTH) throw unproven('the token is longer than 8 KiB');
  checkHeader(token, rules);
  const { payload } = await jwtVerify(token, ({ kid, alg }) => keys.find(kid, alg), {
    algorithms: [...rules.algorithms],
    audience: [...rules.audience],
    ...(rules.issuer === null ? {} : { issuer: rules.issuer }),
    requiredClaims: ['exp', 'sub'],
    clockTolerance: rules.clockSkewMs / 1_000,
    currentDate: new Date(clock.now()),
  }).catch((thrown: unknown) => {
    throw thrown instanceof EgressError ? thrown : unproven(whatIsWrong(thrown), thrown);
  });
  checkTimes(payload, rules, clock.now());
  if (typeof payload.sub !== 'string' || payload.sub === '') throw unproven('the token names no subject');
  return payload as VerifiedClaims;
}

/** Epoch `ms`. */
export const endOf = ({ exp }: VerifiedClaims): number => Math.min(exp * 1_000, MAX_EPOCH_MS);

/** Before any key is asked for, so that a token that is wrong anyway costs no fetch. */
function checkHeader(token: string, { algorithms, types }: JwtRules): void {
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(token);
  } catch (cause) {
    throw unproven('the token is malformed', cause);
  }
  const { alg, typ, kid } = header;
  if (typeof alg !== 'string' || !algorithms.includes(alg)) throw unproven('the algorithm of the token is not allowed');
  if (header.crit !== undefined || header['b64'] !== undefined)
    throw unproven('the token has an extension that is not supported');
  if (kid !== undefined && typeof kid !== 'string') throw unproven('the token is malformed');
  if (
    typ !== undefined &&
    !(typeof typ === 'string' && types.includes(typ.toLowerCase().replace(/^application\//, '')))
  )
    throw unproven('the token is of another type');
}

function checkTimes({ iat, exp = 0 }: JWTPayload, { clockSkewMs, maxLifetimeMs }: JwtRules, now: number): void {
  if (iat !== undefined && iat * 1_000 > now + clockSkewMs) throw unproven('the token was issued in the future');
  if (maxLifetimeMs !== null && exp * 1_000 - Math.min(now, (iat ?? Infinity) * 1_000) > maxLifetimeMs + clockSkewMs)
    throw unproven('the token lives longer than is allowed');
}

function whatIsWrong(thrown: unknown): string {
  if (thrown instanceof errors.JWTExpired) return 'the token has expired';
  if (thrown instanceof errors.JWTClaimValidationFailed) return CLAIMS[thrown.claim] ?? 'a claim of the token is wrong';
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token does not verify';
  return 'the token is malformed';
}

const CLAIMS: Readonly<Record<string, string>> = {
  aud: 'the token is for another audience',
  iss: 'the token is of another issuer',
  nbf: 'the token is not valid yet',
  exp: 'the token has no end',
  sub: 'the token names no subject',
};
