/**
 * Duty: the tokens with which a workload logs in where its credentials are kept.
 * In → Out: Workload and audience → signed JWT; the documents by which others verify it.
 * Holds: a token says who the workload is, is for the audience that was asked for and short, and its signature never is
 *   a string; no private key is in a document.
 * Fails: `configuration_invalid`, `internal` (a token was asked for before the issuer has a URL).
 * Source: RFC 7519; RFC 7517; OpenID Connect Discovery 1.0 §4; SPIFFE JWT-SVID §3.
 * Not here: the keys and their rotation (issuer-keys.ts), the endpoint (issuer-endpoint.ts).
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, Secret } from '../core/secret.ts';
import type { IssuerKeys, SigningKey } from './issuer-keys.ts';
import type { IssuerOptions } from './options.ts';
import type { Workload } from './workload.ts';

export interface IssuerParts extends Pick<IssuerOptions, 'url' | 'tokenLifetimeMs'> {
  /** The issuer does not close them. */
  readonly keys: Pick<IssuerKeys, 'current' | 'published'>;
  readonly clock: Clock;
}

export interface Issuer {
  /** `iss`. @throws EgressError `internal` where it follows from the endpoint's port and that is not known yet. */
  readonly url: string;
  /** Tells the URL of the endpoint; counts where the options have none. */
  locate(endpointUrl: string): void;
  /**
   * A JWT that the caller destroys; `more` claims stand beside its own, and change none of them.
   * @throws EgressError `internal`, `credential_*` where another holds the key.
   */
  mint(workload: Workload, audience: readonly string[], more?: Claims): Promise<Secret>;
  readonly documents: IssuerDocuments;
}

/** Name → JSON value. */
export type Claims = Readonly<Record<string, unknown>>;

/** Path → JSON. */
export type IssuerDocuments = ReadonlyMap<string, string>;

export const DISCOVERY_PATH = '/.well-known/openid-configuration';
export const JWKS_PATH = '/.well-known/jwks.json';

const MAX_LIFETIME_MS = 10 * 60_000;
const invalid = (detail: string): EgressError => new EgressError('configuration_invalid', { detail });

/** @throws EgressError `configuration_invalid` for an unusable URL or lifetime. */
export function createIssuer(parts: IssuerParts): Issuer {
  if (parts.tokenLifetimeMs < 1000 || parts.tokenLifetimeMs > MAX_LIFETIME_MS)
    throw invalid('workload tokens must live from 1 s to 10 min');
  if (parts.url !== null && !/^https?:\/\/[^\s?#]*[^\s?#/]$/.test(parts.url))
    throw invalid('the issuer URL is not like https://issuer.example, without query, fragment and final slash');
  return new TokenIssuer(parts);
}

class TokenIssuer implements Issuer {
  readonly #parts: IssuerParts;
  #url: string | null;

  constructor(parts: IssuerParts) {
    this.#parts = parts;
    this.#url = parts.url;
  }

  get url(): string {
    if (this.#url === null) throw new EgressError('internal', { detail: 'the issuer has no URL yet' });
    return this.#url;
  }

  locate(endpointUrl: string): void {
    this.#url ??= endpointUrl;
  }

  async mint(workload: Workload, audience: readonly string[], more: Claims = {}): Promise<Secret> {
    const { clock, keys, tokenLifetimeMs } = this.#parts;
    const issuedAt = Math.floor(clock.now() / 1000);
    const key = keys.current;
    const claims = {
      ...more,
      workload: workload.name,
      instance: workload.instance ?? undefined,
      iss: this.url,
      sub: workload.spiffeId.uri,
      // RFC 7519 §4.1.3: one audience may stand alone, and some verifiers take nothing else.
      aud: audience.length === 1 ? audience[0] : audience,
      iat: issuedAt,
      nbf: issuedAt,
      exp: issuedAt + Math.floor(tokenLifetimeMs / 1000),
      jti: randomBytes(16).toString('base64url'),
    };
    return signed(`${encoded({ alg: key.algorithm, typ: 'JWT', kid: key.kid })}.${encoded(claims)}`, key);
  }

  get documents(): IssuerDocuments {
    const { keys } = this.#parts;
    const discovery = {
      issuer: this.url,
      jwks_uri: `${this.url}${JWKS_PATH}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [...new Set(keys.published.map(({ alg }) => alg))],
      claims_supported: ['iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'workload', 'instance'],
    };
    return new Map([
      [DISCOVERY_PATH, JSON.stringify(discovery)],
      [JWKS_PATH, JSON.stringify({ keys: keys.published })],
    ]);
  }
}

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/** `<text>.<signature>`; what it is worth is in the signature alone, so that is written as bytes. */
async function signed(text: string, key: SigningKey): Promise<Secret> {
  const signature = await key.sign(Buffer.from(text, 'latin1'));
  const token = allocateSecretBytes(text.length + 1 + signature.length);
  token.write(`${text}.`, 'latin1');
  signature.copy(token, text.length + 1);
  const secret = Secret.copyOf(token);
  token.fill(0);
  signature.fill(0);
  return secret;
}
