/**
 * Duty: the certificate that a connection to the upstream is opened with.
 * Holds: certificate and key stay in their `Secret`s until a connection needs them.
 * Fails: `credential_invalid` where one of them is missing, `secret_destroyed`.
 * Not here: the handshake (upstream/trust.ts), which connection is whose (upstream/pool.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Credential } from '../credential/credential.ts';
import type { Placement } from './placement.ts';

/** @throws EgressError `credential_invalid`. */
export function certificatePlacement(credential: Credential): Placement {
  const cert = partOf(credential, 'certificate');
  const key = partOf(credential, 'privateKey');
  const clientCertificate = { pem: () => ({ cert: cert.reveal(), key: key.reveal() }) };
  return { injected: 'mtls', secretFields: [], clientCertificate };
}

function partOf(credential: Credential, part: 'certificate' | 'privateKey'): Secret {
  const secret = credential.parts.get(part);
  if (secret === undefined)
    throw new EgressError('credential_invalid', { detail: `the credential has no part "${part}"` });
  return secret;
}
