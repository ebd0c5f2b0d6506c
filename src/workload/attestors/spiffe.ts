/**
 * Duty: evidence from SVIDs.
 * In → Out: a JWT-SVID as bearer → VerifiedToken; `spiffe:id` → the ID that a JWT-SVID or the certificate of the connection proved.
 * Holds: a token is verified with the keys of its own trust domain; both kinds at once must prove the same (identify.ts).
 * Threat: a JWT-SVID can be replayed by whoever reads it, the key of an X.509-SVID stays with its owner.
 * Source: SPIFFE JWT-SVID §2 to §5.
 * Not here: certificates (spiffe/x509-svid.ts), the handshake (listener/tls.ts).
 */
import { parseSpiffeId } from '../../core/spiffe-id.ts';
import type { Attestor, TokenVerifier } from '../attestor.ts';
import { ALGORITHMS } from '../options.ts';
import type { TrustBundles } from '../spiffe/trust-bundles.ts';
import { flattenClaims } from '../tokens/claims.ts';
import type { KeyParts } from '../tokens/issuer-keys.ts';
import { unproven } from '../tokens/json-request.ts';
import type { KeySource } from '../tokens/key-source.ts';
import { claimedBy, endOf, verifyJwt } from '../tokens/verify-jwt.ts';

const RULES = {
  issuer: null,
  algorithms: ALGORITHMS.filter((each) => each !== 'EdDSA'),
  types: ['jwt', 'jose'],
  clockSkewMs: 30_000,
  maxLifetimeMs: null,
};

export function createJwtSvidVerifier(
  audience: readonly string[],
  bundles: Pick<TrustBundles, 'bundleOf'>,
  { clock }: Pick<KeyParts, 'clock'>,
): TokenVerifier {
  return {
    accepts: (token) => subjectOf(token).startsWith('spiffe://'),
    verify: async (token) => {
      const spiffeId = idIn(subjectOf(token));
      const claims = await verifyJwt(token, { ...RULES, audience }, keysOf(spiffeId.trustDomain, bundles), clock);
      return {
        kind: 'jwt-svid',
        issuer: `spiffe://${spiffeId.trustDomain}`,
        subject: claims.sub,
        claims: flattenClaims(claims),
        spiffeId,
        expiresAt: endOf(claims),
      };
    },
  };
}

function subjectOf(token: string): string {
  const subject: unknown = claimedBy(token)?.sub;
  return typeof subject === 'string' ? subject : '';
}

function idIn(subject: string): ReturnType<typeof parseSpiffeId> {
  try {
    return parseSpiffeId(subject);
  } catch (cause) {
    throw unproven('the subject of the token is no SPIFFE ID', cause);
  }
}

const keysOf = (trustDomain: string, bundles: Pick<TrustBundles, 'bundleOf'>): KeySource => ({
  find: async (kid, algorithm) => {
    const bundle = bundles.bundleOf(trustDomain);
    if (bundle === null) throw unproven('the trust domain of the token is not known here');
    const key = bundle.jwtKeys?.find(kid, algorithm) ?? null;
    if (key === null) throw unproven('the trust domain of the token has no such key');
    return key;
  },
});

export const spiffeIds: Attestor = {
  answersFor: (key) => key === 'spiffe:id',
  values: async (_key, { svid }) => (svid === null ? [] : [svid.uri]),
};
