/** Duty: a trust domain whose certificates openssl makes, good ones and every kind of bad one. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pair } from '../wire/upstream-world.ts';

export interface SvidForm {
  /** Of subjectAltName, `URI:spiffe://a/b`; empty: none. */
  readonly san?: string;
  readonly basicConstraints?: string;
  readonly keyUsage?: string | null;
  readonly extendedKeyUsage?: string;
  /** As `openssl ca` wants them: `20200101000000Z`. */
  readonly from?: string;
  readonly to?: string;
  /** Who signs; the root where it is left out. */
  readonly by?: string;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const CA = 'critical,CA:TRUE';
const config = (by: string): string => `[ca]
default_ca = own
[own]
new_certs_dir = .
database = index.txt
certificate = ${by}.crt
private_key = ${by}.key
default_md = sha256
rand_serial = yes
policy = any
unique_subject = no
[any]
commonName = supplied
`;

export class SpiffeDomain {
  readonly name: string;
  readonly folder = mkdtempSync(join(tmpdir(), 'spiffe-domain-'));
  #count = 0;

  constructor(name: string) {
    this.name = name;
    writeFileSync(join(this.folder, 'index.txt'), '');
    const extensions = [
      `basicConstraints=${CA}`,
      'keyUsage=critical,keyCertSign,cRLSign',
      `subjectAltName=URI:spiffe://${name}`,
    ];
    const flags = extensions.flatMap((each) => ['-addext', each]);
    this.#openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'root.key',
      '-out',
      'root.crt',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      ...flags,
    );
  }

  get rootPem(): string {
    return this.read('root.crt');
  }

  /** An X.509-SVID of the path, or what `form` makes of it. */
  svid(path: string, form: SvidForm = {}): Pair {
    const name = this.#issue({ san: `URI:spiffe://${this.name}${path}`, ...form });
    return { key: this.read(`${name}.key`), cert: this.read(`${name}.crt`) };
  }

  /** A CA below the root; its name is for `by`. */
  intermediate(form: SvidForm = {}): { readonly name: string; readonly cert: string } {
    const name = this.#issue({
      san: `URI:spiffe://${this.name}`,
      basicConstraints: CA,
      keyUsage: 'critical,keyCertSign,cRLSign',
      extendedKeyUsage: '',
      ...form,
    });
    return { name, cert: this.read(`${name}.crt`) };
  }

  /** In SPIFFE's form, with `keys` beside the root. */
  bundle(keys: readonly object[] = [], roots: readonly string[] = [this.rootPem]): string {
    const own = roots.map((pem) => ({
      kty: 'EC',
      use: 'x509-svid',
      x5c: [new X509Certificate(pem).raw.toString('base64')],
    }));
    return JSON.stringify({ keys: [...own, ...keys], spiffe_sequence: 1, spiffe_refresh_hint: 300 });
  }

  read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #issue({
    san = '',
    basicConstraints = 'critical,CA:FALSE',
    keyUsage = 'critical,digitalSignature',
    extendedKeyUsage = 'serverAuth,clientAuth',
    from = '20200101000000Z',
    to = '20491231000000Z',
    by = 'root',
  }: SvidForm): string {
    const name = `cert${this.#count++}`;
    const extensions = [
      `basicConstraints=${basicConstraints}`,
      ...(keyUsage === null ? [] : [`keyUsage=${keyUsage}`]),
      ...(extendedKeyUsage === '' ? [] : [`extendedKeyUsage=${extendedKeyUsage}`]),
      ...(san === '' ? [] : [`subjectAltName=${san}`]),
    ];
    writeFileSync(join(this.folder, `${name}.ext`), `${extensions.join('\n')}\n`);
    writeFileSync(join(this.folder, 'ca.cnf'), config(by));
    this.#openssl('req', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const files = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`];
    this.#openssl('ca', '-batch', '-config', 'ca.cnf', '-notext', ...files, '-startdate', from, '-enddate', to);
    return name;
  }

  #openssl(...parameters: readonly string[]): void {
    execFileSync('openssl', parameters, { cwd: this.folder, stdio: 'pipe' });
  }
}
