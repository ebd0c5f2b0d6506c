/**
 * Duty: where key, certificate and bundle of the issuing CA are kept.
 * In → Out: directory → material for the CA; PEM texts → bundle files for agents.
 * Holds: the key is 0400 and made once; certificate and bundles are public and replaced whole. Agents may share the folder of the
 *   bundles: nothing that lies there is written through.
 */
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type CaMaterial, caId, createCaCertificate } from './issuing-ca.ts';
import { createJavaTrustStore } from './java-trust-store.ts';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

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

/** Files with every root that an agent should trust: the system's, the user's own, ours. */
export interface BundleFiles {
  readonly pem: string;
  readonly java: string;
}

/** The folder above `directory` exists; itself it is made for everybody to read where it does not. */
export function writeBundles(
  directory: string,
  issuingCaPem: string,
  roots: readonly string[],
  now: number,
): BundleFiles {
  if (!existsSync(directory)) {
    mkdirSync(directory);
    chmodSync(directory, 0o755);
  }
  const pem = join(directory, 'ca-bundle.pem');
  const java = join(directory, 'ca-bundle.jks');
  const found = [issuingCaPem, ...roots].flatMap((text) => text.match(PEM_BLOCK) ?? []);
  const certificates = [...new Set(found)];
  replaceFile(pem, `${certificates.join('\n')}\n`);
  replaceFile(java, createJavaTrustStore(certificates.filter(isReadable), now));
  return { pem, java };
}

/** What the user's own files hold may be anything; the PEM bundle hands it on, a Java file must be of certificates. */
function isReadable(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

function replaceFile(path: string, content: string | Buffer): void {
  const draft = `${path}.new`;
  // A link that somebody left there would lead the write, and the mode, to the file that it names.
  rmSync(draft, { force: true });
  const fd = openSync(draft, NEW_FILE);
  try {
    writeFileSync(fd, content);
    // Public by purpose, whatever the umask: agents run as other users.
    fchmodSync(fd, 0o644);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
}
