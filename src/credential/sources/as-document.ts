/**
 * Duty: the answer of a source that has none to show: what its parts say, as JSON.
 * In → Out: a source of parts → the same source, whose grants hold one `document`, as deliveries ask for it.
 * Holds: the members have the names that Vault's engines give them, so a program reads the same wherever a key comes from;
 *   no string is made of a secret.
 * Fails: `credential_invalid` for a part that is not UTF-8.
 * Source: RFC 8259 §7.
 */
import { isUtf8 } from 'node:buffer';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes, Secret } from '../../core/secret.ts';
import type { CredentialPart } from '../credential.ts';
import { type CredentialSource, destroyParts, type Grant } from '../source.ts';

const MEMBERS: Readonly<Record<CredentialPart, string>> = {
  key: 'api_key',
  username: 'username',
  password: 'password',
  accessKeyId: 'access_key',
  secretAccessKey: 'secret_key',
  sessionToken: 'session_token',
  certificate: 'certificate',
  privateKey: 'private_key',
  document: 'document',
};
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LF = 0x0a;
const CR = 0x0d;
const CLEANUP_MS = 2000;

/** The source it is made of stays its maker's to close. */
export const asDocument = (source: CredentialSource): CredentialSource => ({
  name: source.name,
  fetch: async (workload, signal) => documentGrant(await source.fetch(workload, signal)),
});

async function documentGrant(grant: Grant): Promise<Grant> {
  try {
    const parts = new Map([['document', documentOf(grant.parts)]] as const);
    const { leaseId, accessor, expiresAtMonotonicMs, renewable } = grant;
    return {
      ...{ parts, leaseId, accessor, expiresAtMonotonicMs, renewable },
      ...(grant.renew === undefined ? {} : { renew: (signal) => grant.renew?.(signal) ?? Promise.resolve(0) }),
      revoke: (signal) => grant.revoke(signal),
    };
  } catch (thrown) {
    await grant.revoke(AbortSignal.timeout(CLEANUP_MS)).catch(() => {});
    throw thrown;
  } finally {
    destroyParts(grant);
  }
}

function documentOf(parts: Grant['parts']): Secret {
  const pieces: Buffer[] = [];
  let separator = '{';
  try {
    for (const [part, secret] of parts) {
      pieces.push(Buffer.from(`${separator}"${MEMBERS[part]}":"`), escaped(secret), Buffer.from('"'));
      separator = ',';
    }
    const whole = allocateSecretBytes(pieces.reduce((sum, { length }) => sum + length, 1));
    let at = 0;
    for (const piece of pieces) at += piece.copy(whole, at);
    whole.write('}', at);
    const secret = Secret.copyOf(whole);
    whole.fill(0);
    return secret;
  } finally {
    for (const piece of pieces) piece.fill(0);
  }
}

/** Parts have no control characters but the line ends of PEM. */
function escaped(secret: Secret): Buffer {
  const bytes = secret.reveal();
  if (!isUtf8(bytes)) throw new EgressError('credential_invalid', { detail: 'a part of the credential is not UTF-8' });
  const special = bytes.reduce((count, byte) => count + (escapeOf(byte) === null ? 0 : 1), 0);
  const target = allocateSecretBytes(bytes.length + special);
  let at = 0;
  for (const byte of bytes) {
    const letter = escapeOf(byte);
    if (letter !== null) target[at++] = BACKSLASH;
    target[at++] = letter ?? byte;
  }
  return target;
}

/** What stands behind the backslash; null: the byte stands for itself. */
function escapeOf(byte: number): number | null {
  if (byte === QUOTE || byte === BACKSLASH) return byte;
  if (byte === LF) return 0x6e;
  return byte === CR ? 0x72 : null;
}
