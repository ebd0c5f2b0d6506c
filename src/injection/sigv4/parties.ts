/**
 * Duty: who signed a request and who signs it again.
 * In → Out: client's key id, placeholders, credential → the pair to verify with, the pair to sign with.
 * Holds: only the placeholder of this very workload is answered for.
 * Fails: `client_signature_invalid`, `credential_invalid`, `secret_destroyed`.
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { Credential } from '../../credential/credential.ts';
import type { Placeholders } from '../../workload/workload.ts';
import { optionalPart, requiredPart } from '../secret-bytes.ts';
import type { SigningCredential } from './sign.ts';
import type { KeyPair } from './signing-keys.ts';

const ACCESS_KEY_ID = /^[A-Za-z0-9_]{16,128}$/;

const placeholderPairs = new WeakMap<Placeholders, KeyPair>();

/** @throws EgressError `client_signature_invalid`. */
export function clientPair(accessKeyId: string, placeholders: Placeholders): KeyPair {
  if (accessKeyId !== placeholders.awsAccessKeyId) {
    throw new EgressError('client_signature_invalid', {
      detail: `signed with another access key than the placeholder of this workload; ${insteadOf(accessKeyId)}`,
    });
  }
  let pair = placeholderPairs.get(placeholders);
  if (pair === undefined) {
    const bytes = Buffer.from(placeholders.awsSecretAccessKey, 'latin1');
    pair = { owner: accessKeyId, accessKeyId, secretAccessKey: Secret.copyOf(bytes) };
    bytes.fill(0);
    placeholderPairs.set(placeholders, pair);
  }
  return pair;
}

/** What placeholders begin with. */
const PLACEHOLDER = 'AKIACSGN';

const insteadOf = (accessKeyId: string): string =>
  accessKeyId.startsWith(PLACEHOLDER)
    ? 'it is that of another instance: a client that has one must send its token to the proxy with the first request'
    : 'let the client take its key pair from the environment that it was started with';

const signingCredentials = new WeakMap<Credential, SigningCredential>();

/** Of a session of S3 Express, which has a field of its own for its token. @throws EgressError `secret_destroyed`. */
export function sessionCredential(credential: Credential): SigningCredential {
  return signingCredential(credential, 'X-Amz-S3session-Token');
}

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function signingCredential(
  credential: Credential,
  tokenField: SigningCredential['tokenField'] = 'X-Amz-Security-Token',
): SigningCredential {
  const known = signingCredentials.get(credential);
  if (known !== undefined && !known.secretAccessKey.isDestroyed) return known;
  // The id of a key is public: it stands in every signature.
  const accessKeyId = requiredPart(credential, 'accessKeyId').reveal().toString('latin1');
  if (!ACCESS_KEY_ID.test(accessKeyId))
    throw new EgressError('credential_invalid', { detail: 'malformed access key id' });
  const checked: SigningCredential = {
    owner: credential.key,
    accessKeyId,
    secretAccessKey: requiredPart(credential, 'secretAccessKey'),
    sessionToken: visible(optionalPart(credential, 'sessionToken')),
    tokenField,
  };
  signingCredentials.set(credential, checked);
  return checked;
}

/** Blanks would be folded by AWS before it checks the signature, and not by us. */
function visible(token: Secret | null): Secret | null {
  if (token?.reveal().some((byte) => byte <= 0x20 || byte > 0x7e) === true)
    throw new EgressError('credential_invalid', { detail: 'the session token has a byte outside visible ASCII' });
  return token;
}
