/**
 * Duty: evidence from the service-account tokens of a Kubernetes cluster.
 * In → Out: a bearer that the cluster issued → VerifiedToken; `k8s:ns`, `k8s:sa`, `k8s:pod-name`, `k8s:node` → what it says.
 * Holds: namespace and account are those of the subject, and every claim about them agrees; an end is required, so the old
 *   tokens without one prove nothing.
 * Threat: whoever reads the token is the pod until its end. Verified by keys alone it outlives its pod; TokenReview knows of
 *   the pod's end within a minute.
 * Source: Kubernetes, "Managing Service Accounts", bound tokens; TokenReview v1.
 */
import type { Attestor, TokenVerifier, VerifiedToken } from '../attestor.ts';
import { ALGORITHMS, type KubernetesTokenOptions, type SelectorKey } from '../options.ts';
import { readBearer } from '../tokens/bearer-file.ts';
import { type Claims, flattenClaims } from '../tokens/claims.ts';
import { type KeyParts, keysOf } from '../tokens/issuer-keys.ts';
import { unproven } from '../tokens/json-request.ts';
import { createTokenReview } from '../tokens/token-review.ts';
import { claimedBy, endOf, verifyJwt } from '../tokens/verify-jwt.ts';

type ByKeys = Extract<KubernetesTokenOptions['by'], { kind: 'keys' }>;
type ByReview = Extract<KubernetesTokenOptions['by'], { kind: 'review' }>;

const SUBJECT = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;
const TYPES = ['jwt'];
const CLOCK_SKEW_MS = 30_000;

/** Claims, as flattened, and fields of a review's `extra` that say the same. */
const NAMESPACE = 'kubernetes.io.namespace';
const ACCOUNT = 'kubernetes.io.serviceaccount.name';
const POD_UID = 'kubernetes.io.pod.uid';
const POD = 'kubernetes.io.pod.name';
const NODE = 'kubernetes.io.node.name';
const EXTRA: Readonly<Record<string, string>> = {
  'authentication.kubernetes.io/pod-name': POD,
  'authentication.kubernetes.io/pod-uid': POD_UID,
  'authentication.kubernetes.io/node-name': NODE,
};

export function createServiceAccountVerifier(options: KubernetesTokenOptions, parts: KeyParts): TokenVerifier {
  return options.by.kind === 'keys'
    ? byKeys(options.audience, options.by, parts)
    : byReview(options.audience, options.by, parts);
}

function byKeys(audience: readonly string[], { issuer, keys, tokenFile }: ByKeys, parts: KeyParts): TokenVerifier {
  const bearer = tokenFile === null ? undefined : readBearer(tokenFile);
  const source = keysOf(issuer, keys, parts, bearer);
  const rules = {
    issuer,
    audience,
    algorithms: ALGORITHMS,
    types: TYPES,
    clockSkewMs: CLOCK_SKEW_MS,
    maxLifetimeMs: null,
  };
  return {
    accepts: (token) => claimedBy(token)?.iss === issuer,
    verify: async (token) => {
      const claims = await verifyJwt(token, rules, source, parts.clock);
      return tokenOf(issuer, claims.sub, flattenClaims(claims), endOf(claims));
    },
  };
}

function byReview(audience: readonly string[], by: ByReview, parts: KeyParts): TokenVerifier {
  const review = createTokenReview({ ...by, audience }, parts);
  return {
    accepts: (token) => {
      const claims = claimedBy(token);
      return claims !== null && Object.hasOwn(claims, 'kubernetes.io');
    },
    verify: async (token) => {
      const { exp, iss } = claimedBy(token) ?? {};
      const expiresAt = typeof exp === 'number' ? endOf({ exp, sub: '' }) : 0;
      if (expiresAt <= parts.clock.now()) throw unproven('the token has expired, or has no end');
      const user = await review.userOf(token, expiresAt);
      const extra = Object.entries(user.extra).flatMap(([name, values]) => {
        const claim = Object.hasOwn(EXTRA, name) ? EXTRA[name] : undefined;
        return claim === undefined ? [] : [[claim, values] as const];
      });
      return {
        ...tokenOf(iss ?? by.server, user.name, Object.fromEntries(extra), expiresAt),
        stillHolds: () => review.stillHolds(token, expiresAt),
      };
    },
  };
}

function tokenOf(issuer: string, subject: string, claims: Claims, expiresAt: number): VerifiedToken {
  const named = SUBJECT.exec(subject);
  if (named === null) throw unproven('the token is of no service account');
  const [, namespace = '', account = ''] = named;
  if (contradicts(claims[NAMESPACE], namespace) || contradicts(claims[ACCOUNT], account))
    throw unproven('the token contradicts itself');
  return { kind: 'k8s-service-account', issuer, subject, claims, spiffeId: null, expiresAt };
}

const contradicts = (claimed: readonly string[] | undefined, named: string): boolean =>
  claimed !== undefined && (claimed.length !== 1 || claimed[0] !== named);

export const serviceAccounts: Attestor = {
  answersFor: (key) => KEYS.has(key),
  values: async (key, { token }) => (token === null ? [] : valuesFromServiceAccount(token, key)),
};

const KEYS: ReadonlySet<SelectorKey> = new Set(['k8s:ns', 'k8s:sa', 'k8s:pod-name', 'k8s:node']);

/** Empty: the token is no service account's, or does not say. */
export function valuesFromServiceAccount(token: VerifiedToken, key: SelectorKey): readonly string[] {
  if (token.kind !== 'k8s-service-account') return [];
  const [, namespace = '', account = ''] = SUBJECT.exec(token.subject) ?? [];
  switch (key) {
    case 'k8s:ns':
      return [namespace];
    case 'k8s:sa':
      return [account];
    case 'k8s:pod-name':
      return token.claims[POD] ?? [];
    case 'k8s:node':
      return token.claims[NODE] ?? [];
    default:
      return [];
  }
}
