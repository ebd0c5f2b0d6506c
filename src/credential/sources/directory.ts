/**
 * Duty: the configured sources, made once each.
 * In → Out: `CredentialSource` documents of the moment, a name → the source.
 * Holds: a source lives on through a reload as long as its document stays as it is, so its leases do too; a connection pool
 *   is shared by the sources of one address and lives until the end, since old leases are still revoked through it.
 * Fails: `credential_invalid` for an unknown name, `configuration_invalid` where a source cannot be made.
 */
import { readFileSync } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { openVaultClient, type VaultClient } from '../../vault/client.ts';
import type { Workload } from '../../workload/workload.ts';
import type { DeliveryOrder } from '../credential.ts';
import type { CredentialSourceOptions } from '../options.ts';
import type { CredentialSource } from '../source.ts';
import { createVaultSource } from './vault.ts';

export interface SourceDirectoryOptions {
  /** Read anew for every request. */
  readonly sources: () => readonly CredentialSourceOptions[];
  readonly clock: Clock;
  /** A workload token (JWT) for that audience; whoever asked destroys it. */
  readonly mintToken: (workload: Workload, audience: readonly string[]) => Promise<Secret>;
  /** What the address `sandbox` stands for; null where there is none. */
  readonly sandboxVaultAddress: string | null;
}

interface Made {
  readonly name: string;
  readonly document: string;
  readonly source: CredentialSource;
}

export class SourceDirectory {
  readonly #options: SourceDirectoryOptions;
  readonly #clients = new Map<string, VaultClient>();
  #documents: readonly CredentialSourceOptions[] | null = null;
  #byName = new Map<string, CredentialSourceOptions>();
  /** By name and form. */
  #made = new Map<string, Made>();

  constructor(options: SourceDirectoryOptions) {
    this.#options = options;
  }

  /** @throws EgressError `credential_invalid`, `configuration_invalid`. */
  find(name: string, form: DeliveryOrder['form'] = 'parts'): CredentialSource {
    const documents = this.#options.sources();
    if (documents !== this.#documents) this.#reload(documents);
    const key = `${form} ${name}`;
    const made = this.#made.get(key);
    if (made !== undefined) return made.source;
    const options = this.#byName.get(name);
    if (options === undefined)
      throw new EgressError('credential_invalid', { detail: 'the credential source of the binding does not exist' });
    const { clock, mintToken } = this.#options;
    const source = createVaultSource({ options, client: this.#clientFor(options), clock, mintToken, form });
    this.#made.set(key, { name, document: JSON.stringify(options), source });
    return source;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    this.#clients.clear();
  }

  #reload(documents: readonly CredentialSourceOptions[]): void {
    this.#documents = documents;
    this.#byName = new Map(documents.map((options) => [options.name, options]));
    for (const [key, { name, document }] of this.#made) {
      if (JSON.stringify(this.#byName.get(name)) !== document) this.#made.delete(key);
    }
  }

  #clientFor({ address: configured, namespace, caFile }: CredentialSourceOptions): VaultClient {
    const address = configured === 'sandbox' ? this.#options.sandboxVaultAddress : configured;
    if (address === null)
      throw new EgressError('configuration_invalid', { detail: 'a credential source uses the sandbox, which is off' });
    const key = JSON.stringify([address, namespace, caFile]);
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const client = openVaultClient({ address, namespace, ...(caFile === null ? {} : { caPem: readRoots(caFile) }) });
    this.#clients.set(key, client);
    return client;
  }
}

function readRoots(caFile: string): string {
  try {
    return readFileSync(caFile, 'utf8');
  } catch (cause) {
    throw new EgressError('configuration_invalid', {
      detail: 'the roots of a credential source cannot be read',
      cause,
    });
  }
}
