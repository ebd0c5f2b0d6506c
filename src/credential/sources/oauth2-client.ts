/**
 * Duty: how an OAuth client proves who it is at the token endpoint.
 * In → Out: client id and what it has → members of the form, and the value of `Authorization: Basic`.
 * Holds: an assertion lives for a minute, has an id of its own and is signed with an algorithm that fits its key. jose and the
 *   platform hold the signed text as a string, off the request path; keys and client secrets stay bytes.
 * Fails: `credential_invalid` for a key that is none, and as kept-secret.ts.
 * Source: RFC 6749 §2.3.1; RFC 7521 §4.2; RFC 7523 §2.2, §3; OpenID Connect Core §9.
 */
import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { basicLength, writeBasic } from '../../core/basic.ts';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes, Secret } from '../../core/secret.ts';
import type { OAuth2SourceOptions } from '../options.ts';
import { percentEncode } from './form.ts';
import { type KeptSecretParts, keptSecret } from './kept-secret.ts';
import { readSecretFile } from './secret-file.ts';

/** The caller destroys the secrets in it. */
export interface ClientProof {
  readonly members: Readonly<Record<string, string | Secret>>;
  readonly basic: Secret | null;
}

const ASSERTION_LIFE_S = 60;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function proveClient(
  options: OAuth2SourceOptions,
  parts: KeptSecretParts,
  signal: AbortSignal,
): Promise<ClientProof> {
  const { clientId, auth } = options;
  if (auth.kind === 'none') return { members: { client_id: clientId }, basic: null };
  if (auth.kind === 'privateKeyJwt') {
    const assertion = await sign(options, auth, parts, signal);
    return {
      members: { client_id: clientId, client_assertion_type: ASSERTION_TYPE, client_assertion: assertion },
      basic: null,
    };
  }
  const secret = await keptSecret(auth.secret, parts, signal);
  if (auth.method === 'post') return { members: { client_id: clientId, client_secret: secret }, basic: null };
  try {
    return { members: {}, basic: basicOf(clientId, secret) };
  } finally {
    secret.destroy();
  }
}

export function endProof({ members, basic }: ClientProof): void {
  basic?.destroy();
  for (const value of Object.values(members)) if (value instanceof Secret) value.destroy();
}

/** Both are encoded as in a form before they are joined. */
function basicOf(clientId: string, secret: Secret): Secret {
  const password = percentEncode(secret.reveal());
  const name = percentEncode(Buffer.from(clientId, 'utf8'));
  const encoded = allocateSecretBytes(basicLength(name.length, password.length));
  writeBasic(name, password, encoded, 0);
  const basic = Secret.copyOf(encoded);
  for (const bytes of [password, encoded]) bytes.fill(0);
  return basic;
}

type KeyAuth = Extract<OAuth2SourceOptions['auth'], { kind: 'privateKeyJwt' }>;

async function sign(
  { clientId }: OAuth2SourceOptions,
  { path, isGroupReadable, alg, kid, audience }: KeyAuth,
  { clock, ownUid }: KeptSecretParts,
  signal: AbortSignal,
): Promise<Secret> {
  const { bytes } = await readSecretFile(path, { ownUid, isGroupReadable, clock }, signal);
  try {
    const key = readKey(bytes);
    const issuedAt = Math.floor(clock.now() / 1000);
    const text = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: alg ?? usualAlgorithm(key), typ: 'JWT', ...(kid === null ? {} : { kid }) })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(audience)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + ASSERTION_LIFE_S)
      .sign(key);
    const token = Buffer.from(text, 'latin1');
    const secret = Secret.copyOf(token);
    token.fill(0);
    return secret;
  } catch (thrown) {
    // The cause could show the key.
    throw thrown instanceof EgressError ? thrown : unusableKey('does not fit its algorithm');
  } finally {
    bytes.fill(0);
  }
}

function readKey(pem: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    throw unusableKey('is no private key in PEM, or has a passphrase');
  }
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

/** @throws EgressError `credential_invalid`. */
function usualAlgorithm({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  if (asymmetricKeyType === 'rsa') return 'RS256';
  if (asymmetricKeyType === 'ed25519') return 'EdDSA';
  const named = asymmetricKeyType === 'ec' ? CURVES[asymmetricKeyDetails?.namedCurve ?? ''] : undefined;
  if (named === undefined) throw unusableKey('is of a kind that no algorithm here signs with');
  return named;
}

const unusableKey = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the key file of the credential source ${what}` });
