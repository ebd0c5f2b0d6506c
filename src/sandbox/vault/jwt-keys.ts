/**
 * Duty: the keys against which a login's JWT is verified: from a JWKS address, by discovery, or given as PEM.
 * In → Out: a compact JWT → its claims, once one of the keys has verified it; else null.
 * Holds: fetched keys are kept and fetched again when none fits, once for all who wait; answers are bounded in size and time and
 *   redirects are not followed.
 * Source: RFC 7515, RFC 7517; OpenID Connect Discovery §4.
 * Not here: what the claims must say (jwt-claims.ts).
 */
import { compactVerify, createLocalJWKSet, importSPKI, type JSONWebKeySet, type JWSHeaderParameters } from 'jose';

const FETCH_TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 256 * 1024;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'EdDSA'];

type VerificationKey = CryptoKey;
/** One try with what is known now; throws where no key fits. */
type Verify = (jwt: string) => Promise<Uint8Array>;

export interface JwtKeys {
  /** How a JWT is refused that no key verifies. */
  readonly fault: string;
  /** Null: no known key verifies the signature. @throws where the keys cannot be had. */
  claims(jwt: string): Promise<ReadonlyMap<string, unknown> | null>;
  /** @throws Error with a text for the operator where the keys cannot be had. */
  check(): Promise<void>;
}

export function createFetchedKeys(source: { readonly jwksUrl: string } | { readonly discoveryUrl: string }): JwtKeys {
  let known: Verify | null = null;
  let fetching: Promise<Verify> | null = null;
  const refetch = (): Promise<Verify> => {
    fetching ??= fetchKeySet(source).finally(() => {
      fetching = null;
    });
    return fetching;
  };
  return {
    fault: 'failed to verify id token signature',
    async claims(jwt) {
      const first = known;
      const payload = first === null ? null : await first(jwt).catch(() => null);
      if (payload !== null) return parseClaims(payload);
      known = await refetch();
      const second = await known(jwt).catch(() => null);
      return second === null ? null : parseClaims(second);
    },
    async check() {
      known = await refetch();
    },
  };
}

/** @throws Error where one of the texts is no public key. */
export async function createGivenKeys(pems: readonly string[]): Promise<JwtKeys> {
  for (const pem of pems) {
    const isKey = await Promise.any(ALGORITHMS.map((algorithm) => importSPKI(pem, algorithm))).catch(() => null);
    if (isKey === null) throw new Error('data does not contain any valid public keys');
  }
  return {
    fault: 'no known key successfully validated the token signature',
    async claims(jwt) {
      for (const pem of pems) {
        const key = (header: JWSHeaderParameters): Promise<VerificationKey> => importSPKI(pem, header.alg ?? '');
        const payload = await compactVerify(jwt, key, { algorithms: ALGORITHMS }).catch(() => null);
        if (payload !== null) return parseClaims(payload.payload);
      }
      return null;
    },
    check: () => Promise.resolve(),
  };
}

async function fetchKeySet(source: { readonly jwksUrl: string } | { readonly discoveryUrl: string }): Promise<Verify> {
  const url = 'jwksUrl' in source ? source.jwksUrl : await discover(source.discoveryUrl);
  const document = await fetchJson(url);
  if (!Array.isArray(document.get('keys'))) throw new Error('the answer is not a JSON Web Key Set');
  const keys = (document.get('keys') as readonly unknown[]).filter((key) => typeof key === 'object' && key !== null);
  const set = createLocalJWKSet({ keys } as JSONWebKeySet);
  return async (jwt) => (await compactVerify(jwt, set, { algorithms: ALGORITHMS })).payload;
}

async function discover(base: string): Promise<string> {
  const document = await fetchJson(`${base.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const jwksUri = document.get('jwks_uri');
  if (document.get('issuer') !== base) throw new Error('the issuer of the discovery document differs from its address');
  if (typeof jwksUri !== 'string') throw new Error('the discovery document names no jwks_uri');
  return jwksUri;
}

async function fetchJson(url: string): Promise<ReadonlyMap<string, unknown>> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${response.status} from the address of the keys`);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw new Error('the answer with the keys is too large');
  }
  const document: unknown = JSON.parse(text);
  return new Map(Object.entries(document ?? {}));
}

function parseClaims(payload: Uint8Array): ReadonlyMap<string, unknown> | null {
  try {
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    return typeof claims === 'object' && claims !== null && !Array.isArray(claims)
      ? new Map(Object.entries(claims))
      : null;
  } catch {
    return null;
  }
}
