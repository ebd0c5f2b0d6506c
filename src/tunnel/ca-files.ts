/**
 * Duty: where key, certificate and bundle of the issuing CA are kept.
 * In → Out: directory → material for the CA; PEM texts → bundle file for agents.
 * Holds: the key is 0400 and made once; certificate and bundle are public and replaced whole.
 */
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CaMaterial, caId, createCaCertificate } from './issuing-ca.ts';

export interface CaFiles {
  readonly certificateFile: string;
  readonly material: CaMaterial;
}

/** `keyPem` is what stands in the key file of `directory`; the certificate is made beside it where it is missing. */
export function openCaFiles(directory: string, keyPem: Buffer, now: number): CaFiles {
  const certificateFile = join(directory, 'ca.pem');
  if (!existsSync(certificateFile)) replaceFile(certificateFile, createCaCertificate(keyPem, caId(keyPem), now));
  return { certificateFile, material: { keyPem, certificatePem: readFileSync(certificateFile, 'utf8') } };
}

/** One file with every root that an agent should trust: the system's, the user's own, ours. Returns its path. */
export function writeBundle(directory: string, issuingCaPem: string, roots: readonly string[]): string {
  const file = join(directory, 'ca-bundle.pem');
  const certificates = [issuingCaPem, ...roots].flatMap(
    (text) => text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [],
  );
  replaceFile(file, `${[...new Set(certificates)].join('\n')}\n`);
  return file;
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  // Public by purpose, whatever the umask: agents run as other users.
  chmodSync(`${path}.new`, 0o644);
  renameSync(`${path}.new`, path);
}
