/**
 * Duty: a secret that the user keeps for a source: in a file, or in an environment variable.
 * In → Out: where it is → a `Secret` of the caller's own.
 * Holds: a file is read at every use, so that a new one counts at once.
 * Fails: `credential_unavailable`, `credential_invalid`.
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { KeptSecret } from '../options.ts';
import { readSecretFile } from './secret-file.ts';
import type { SourceParts } from './source-parts.ts';
import { withoutLineEnd } from './stored.ts';

export type KeptFileParts = Pick<SourceParts, 'clock' | 'ownUid'>;
export type KeptSecretParts = KeptFileParts & Pick<SourceParts, 'variables'>;

/** The caller destroys it. @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function keptSecret(place: KeptSecret, parts: KeptSecretParts, signal: AbortSignal): Promise<Secret> {
  return place.kind === 'file' ? keptFile(place, parts, signal) : checked(secretOf(place.name, parts));
}

/** The caller destroys it. @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function keptFile(
  { path, isGroupReadable }: Omit<Extract<KeptSecret, { kind: 'file' }>, 'kind'>,
  { clock, ownUid }: KeptFileParts,
  signal: AbortSignal,
): Promise<Secret> {
  const { bytes } = await readSecretFile(path, { ownUid, isGroupReadable, clock }, signal);
  const secret = Secret.copyOf(withoutLineEnd(bytes));
  bytes.fill(0);
  return checked(secret);
}

/** Takes it: what cannot go into a header field is destroyed. @throws EgressError `credential_invalid`. */
function checked(secret: Secret): Secret {
  if (secret.byteLength > 0 && !secret.reveal().some((byte) => byte < 0x20 || byte === 0x7f)) return secret;
  secret.destroy();
  throw new EgressError('credential_invalid', {
    detail: 'a secret that the credential source needs is empty, or has a control character',
  });
}

function secretOf(name: string, { variables }: KeptSecretParts): Secret {
  const secret = variables.secret(name);
  if (secret !== null) return Secret.copyOf(secret.reveal());
  throw new EgressError('credential_unavailable', {
    detail: 'an environment variable of the credential source is not set; start the proxy with it',
    retryAfterMs: 60_000,
  });
}
