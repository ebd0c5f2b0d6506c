/**
 * Duty: evidence from the tokens of identity providers.
 * In → Out: a bearer of a configured issuer → VerifiedToken; `token:jwt-issuer`, `token:jwt-sub`, `token:jwt-claim:<name>` → what
 *   it says.
 * Holds: `iss` only chooses who judges; nothing is believed before the signature.
 * Threat: whoever reads a token is the workload until its end, so it is short and for our audience alone; what an issuer lets
 *   callers choose about themselves proves nothing.
 * Not here: the checks themselves (tokens/verify-jwt.ts), keys (tokens/issuer-keys.ts).
 */
import type { Attestor, TokenVerifier, VerifiedToken } from '../attestor.ts';
import type { JwtIssuerOptions, SelectorKey } from '../options.ts';
import { flattenClaims } from '../tokens/claims.ts';
import { type KeyParts, keysOf } from '../tokens/issuer-keys.ts';
import { claimedBy, endOf, verifyJwt } from '../tokens/verify-jwt.ts';

const CLAIM = 'token:jwt-claim:';
const TYPES = ['jwt', 'at+jwt'];

export function createJwtVerifier(options: JwtIssuerOptions, parts: KeyParts): TokenVerifier {
  const { issuer } = options;
  const keys = keysOf(issuer, options.keys, parts);
  return {
    accepts: (token) => claimedBy(token)?.iss === issuer,
    verify: async (token): Promise<VerifiedToken> => {
      const claims = await verifyJwt(token, { ...options, types: TYPES }, keys, parts.clock);
      return {
        kind: 'jwt',
        issuer,
        subject: claims.sub,
        claims: flattenClaims(claims),
        spiffeId: null,
        expiresAt: endOf(claims),
      };
    },
  };
}

export const jwtClaims: Attestor = {
  answersFor: (key) => key.startsWith('token:jwt-'),
  values: async (key, { token }) => (token?.kind === 'jwt' ? valuesOf(key, token) : []),
};

function valuesOf(key: SelectorKey, { issuer, subject, claims }: VerifiedToken): readonly string[] {
  if (key === 'token:jwt-issuer') return [issuer];
  if (key === 'token:jwt-sub') return [subject];
  const name = key.slice(CLAIM.length);
  return key.startsWith(CLAIM) && Object.hasOwn(claims, name) ? (claims[name] ?? []) : [];
}
