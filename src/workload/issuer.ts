/**
 * Duty: the tokens with which a workload logs in where its credentials are kept.
 * In → Out: Workload and audience → signed JWT; the documents by which others verify it.
 * Holds: ES256 with one key that outlives the process; a token says who the workload is, is for one audience and short, and
 *   its signature never is a string; the private key is in no document.
 * Fails: `configuration_invalid`, `internal` (a token was asked for before the issuer has a URL).
 * Source: RFC 7519; RFC 7517; RFC 7638; OpenID Connect Discovery 1.0 §4; SPIFFE JWT-SVID §3.
 * Not here: the key's file (store/key-file.ts), the endpoint (issuer-endpoint.ts).
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { base64UrlLength, writeBase64Url } from '../core/base64.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, Secret } from '../core/secret.ts';
import type { IssuerOptions } from './options.ts';
import type { Workload } from './workload.ts';

export interface IssuerParts extends IssuerOptions {
  /** What `createIssuerKey` made. Zeroed. */
  readonly key: Buffer;
  readonly clock: Clock;
}

export interface Issuer {
  /** `iss`. @throws EgressError `internal` where it follows from the endpoint's port and that is not known yet. */
  readonly url: string;
  /** Tells the URL of the endpoint; counts where the options have none. */
  locate(endpointUrl: string): void;
  /** A JWT that the caller destroys. @throws EgressError `internal`. */
  mint(workload: Workload, audience: readonly string[]): Secret;
  readonly documents: IssuerDocuments;
}

/** Path → JSON. */
export type IssuerDocuments = ReadonlyMap<string, string>;

export const DISCOVERY_PATH = '/.well-known/openid-configuration';
export const JWKS_PATH = '/.well-known/jwks.json';

const MAX_LIFETIME_MS = 10 * 60_000;
const invalid = (detail: string, cause?: unknown): EgressError =>
  new EgressError('configuration_invalid', { detail, cause });

/** A new private key, as the bytes of its file: a JWK. */
export function createIssuerKey(): Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return Buffer.from(`${JSON.stringify(privateKey.export({ format: 'jwk' }))}\n`);
}

/** @throws EgressError `configuration_invalid` for an unusable key, URL or lifetime. */
export async function openIssuer(parts: IssuerParts): Promise<Issuer> {
  if (parts.tokenLifetimeMs < 1000 || parts.tokenLifetimeMs > MAX_LIFETIME_MS)
    throw invalid('workload tokens must live from 1 s to 10 min');
  if (parts.url !== null && !/^https?:\/\/[^\s?#]*[^\s?#/]$/.test(parts.url))
    throw invalid('the issuer URL is not like https://issuer.example, without query, fragment and final slash');
  const key = readKey(parts.key);
  const { kty, crv, x, y } = createPublicKey(key).export({ format: 'jwk' });
  if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined)
    throw invalid('the issuer key is not on P-256');
  const kid = await calculateJwkThumbprint({ kty, crv, x, y });
  return new Es256Issuer(parts, key, { kty, crv, x, y, kid, alg: 'ES256', use: 'sig' });
}

function readKey(bytes: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: JSON.parse(bytes.toString('utf8')), format: 'jwk' });
  } catch {
    // The cause could show the key.
    throw invalid('the issuer key file does not hold a private JWK');
  } finally {
    bytes.fill(0);
  }
}

type PublicJwk = Readonly<Record<'kty' | 'crv' | 'x' | 'y' | 'kid' | 'alg' | 'use', string>>;

class Es256Issuer implements Issuer {
  readonly #parts: Omit<IssuerParts, 'key'>;
  readonly #key: KeyObject;
  readonly #jwk: PublicJwk;
  #url: string | null;

  constructor({ url, listen, tokenLifetimeMs, clock }: IssuerParts, key: KeyObject, jwk: PublicJwk) {
    this.#parts = { url, listen, tokenLifetimeMs, clock };
    this.#key = key;
    this.#jwk = jwk;
    this.#url = url;
  }

  get url(): string {
    if (this.#url === null) throw new EgressError('internal', { detail: 'the issuer has no URL yet' });
    return this.#url;
  }

  locate(endpointUrl: string): void {
    this.#url ??= endpointUrl;
  }

  mint(workload: Workload, audience: readonly string[]): Secret {
    const issuedAt = Math.floor(this.#parts.clock.now() / 1000);
    const header = { alg: 'ES256', typ: 'JWT', kid: this.#jwk.kid };
    const claims = {
      workload: workload.name,
      ...(workload.instance === null ? {} : { instance: workload.instance }),
      iss: this.url,
      sub: workload.spiffeId.uri,
      aud: audience,
      iat: issuedAt,
      nbf: issuedAt,
      exp: issuedAt + Math.floor(this.#parts.tokenLifetimeMs / 1000),
      jti: randomBytes(16).toString('base64url'),
    };
    return signed(`${encoded(header)}.${encoded(claims)}`, this.#key);
  }

  get documents(): IssuerDocuments {
    const discovery = {
      issuer: this.url,
      jwks_uri: `${this.url}${JWKS_PATH}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    };
    return new Map([
      [DISCOVERY_PATH, JSON.stringify(discovery)],
      [JWKS_PATH, JSON.stringify({ keys: [this.#jwk] })],
    ]);
  }
}

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/** `<text>.<signature>`; what it is worth is in the signature alone, so that is written as bytes. */
function signed(text: string, key: KeyObject): Secret {
  const signature = sign('sha256', Buffer.from(text, 'latin1'), { key, dsaEncoding: 'ieee-p1363' });
  const token = allocateSecretBytes(text.length + 1 + base64UrlLength(signature.length));
  token.write(`${text}.`, 'latin1');
  writeBase64Url(signature, token, text.length + 1);
  const secret = Secret.copyOf(token);
  token.fill(0);
  signature.fill(0);
  return secret;
}
