/**
 * Duty: a certificate that somebody else renews, for a listener that shows it.
 * In → Out: paths of PEM files → certificate and key of now.
 * Holds: read again when one of them has changed, at the next connection; a pair that does not fit, as in the middle of a renewal,
 *   changes nothing; a key that everybody may read is refused.
 * Fails: `configuration_invalid` at the start.
 */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { EgressError } from '../core/errors.ts';
import type { CertificateSource, ServerCertificate } from './server-certificates.ts';

export interface CertificateFiles {
  /** The chain behind the certificate. */
  readonly certificateFile: string;
  readonly keyFile: string;
}

const READABLE_BY_ALL = 0o004;

/** `what`: how the configuration calls it. @throws EgressError `configuration_invalid`. */
export function createFileCertificates(files: CertificateFiles, what: string): CertificateSource {
  let seen = versionOf(files);
  let shown = readPair(files, what);
  return {
    certificateFor: async () => {
      const version = versionOf(files);
      if (version === seen) return shown;
      seen = version;
      try {
        shown = readPair(files, what);
      } catch {
        // What was there before is shown until both files fit again.
      }
      return shown;
    },
  };
}

/** Changes with either file. */
function versionOf({ certificateFile, keyFile }: CertificateFiles): string {
  return [certificateFile, keyFile]
    .map((path) => {
      const facts = statSync(path, { throwIfNoEntry: false });
      return facts === undefined ? 'none' : `${facts.ino} ${facts.mtimeMs} ${facts.size} ${facts.mode}`;
    })
    .join('\n');
}

function readPair({ certificateFile, keyFile }: CertificateFiles, what: string): ServerCertificate {
  const unusable = (why: string, cause?: unknown): EgressError =>
    new EgressError('configuration_invalid', { detail: `${what}: ${why}`, cause });
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
      throw unusable(`${path} cannot be read (${code}); let the proxy's user read it, or name another file`, cause);
    }
  };
  const pair = { certificatePem: read(certificateFile), keyPem: read(keyFile) };
  if ((statSync(keyFile).mode & READABLE_BY_ALL) !== 0)
    throw unusable(`everybody may read ${keyFile}; run chmod o-r on it`);
  try {
    createSecureContext({ cert: pair.certificatePem, key: pair.keyPem });
  } catch {
    // The cause could show the key.
    throw unusable(
      `${certificateFile} and ${keyFile} are not a PEM certificate and its private key without a passphrase`,
    );
  }
  return pair;
}
