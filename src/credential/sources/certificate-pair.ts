/**
 * Duty: the client certificate that a source shows at TLS handshakes.
 * In → Out: two files → PEM of certificate and key, and what identifies this version of them.
 * Holds: the key's file is one that nobody else can read; both are read anew when one of them changes.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Not here: what is done with them (vault/transport.ts).
 */
import { readFile } from 'node:fs/promises';
import { EgressError } from '../../core/errors.ts';
import type { ClientCertificate } from '../../vault/transport.ts';
import type { CertificateFiles } from '../options.ts';
import { identityOf, readSecretFile } from './secret-file.ts';
import type { SourceParts } from './source-parts.ts';

const READ_MS = 5_000;

export type CertificatePairParts = Pick<SourceParts, 'clock' | 'ownUid'>;

/** What identifies the version that is there now, and how to read it; the reader zeroes the key. */
export function certificatePair(
  { certificateFile, keyFile, isGroupReadable }: CertificateFiles,
  { clock, ownUid }: CertificatePairParts,
): ClientCertificate {
  return {
    identity: async () => `${await identityOf(certificateFile)} ${await identityOf(keyFile)}`,
    read: async () => {
      const signal = AbortSignal.timeout(READ_MS);
      const { bytes } = await readSecretFile(keyFile, { ownUid, isGroupReadable, clock }, signal);
      const certificate = await readFile(certificateFile).catch((cause: unknown) => {
        bytes.fill(0);
        throw new EgressError('credential_unavailable', {
          detail: 'the client certificate of the credential source cannot be read',
          cause,
          retryAfterMs: 1000,
        });
      });
      return { certificate, key: bytes };
    },
  };
}
