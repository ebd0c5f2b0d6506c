/** Duty: the certificates of a run: the upstream's, and the CA that squid signs with. Made by openssl, good for two days. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface PemFiles {
  readonly file: string;
  readonly key: string;
  readonly pem: string;
}

/** For these names, trusted by itself. */
export function makeCertificate(base: string, hosts: readonly string[]): PemFiles {
  return make(base, hosts[0] ?? '', [`subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}`]);
}

export function makeAuthority(base: string): PemFiles {
  return make(base, 'countersign-bench', [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]);
}

function make(base: string, commonName: string, extensions: readonly string[]): PemFiles {
  const file = `${base}.pem`;
  const key = `${base}-key.pem`;
  const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const added = extensions.flatMap((extension) => ['-addext', extension]);
  const out = ['-keyout', key, '-out', file, '-subj', `/CN=${commonName}`];
  execFileSync('openssl', ['req', '-x509', ...algorithm, ...out, ...added], { stdio: 'ignore' });
  return { file, key, pem: readFileSync(file, 'utf8') };
}
