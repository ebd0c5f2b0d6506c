/**
 * Duty: the configured sources, made once each.
 * In → Out: `CredentialSource` documents of the moment, a name → the source.
 * Holds: a source lives on through a reload as long as its document stays as it is, so its leases do too; a connection pool
 *   is shared by the sources of one address and lives until the end, since old leases are still revoked through it.
 * Not here: which kind is made how (makers.ts).
 * Fails: `credential_invalid` for an unknown name, `configuration_invalid` where a source cannot be made.
 */
import { readFileSync } from 'node:fs';
import { EgressError } from '../../core/errors.ts';
import { openVaultClient, type VaultClient } from '../../vault/client.ts';
import type { Route } from '../../vault/connection.ts';
import type { DeliveryOrder } from '../credential.ts';
import type { CredentialSourceOptions, ProviderEndpoint, VaultSourceOptions } from '../options.ts';
import type { CredentialSource } from '../source.ts';
import { asDocument } from './as-document.ts';
import { certificatePair } from './certificate-pair.ts';
import { type HttpsCaller, openHttpsCaller } from './https-call.ts';
import { BEGINS_AT_ONCE, MAKERS, type Maker, type OptionsOf, type SourceKind } from './makers.ts';
import type { SourceParts } from './source-parts.ts';
import { createVaultLogin, type VaultLogin } from './vault-login.ts';
import { WrappedSecretIds } from './wrapped-secret-ids.ts';

export interface SourceDirectoryOptions extends Omit<SourceParts, 'vaultClient' | 'secretIds' | 'httpsCaller'> {
  /** Read anew for every request. */
  readonly sources: () => readonly CredentialSourceOptions[];
  /** What the address `sandbox` stands for; null where there is none. */
  readonly sandboxVaultAddress: string | null;
  /** How providers are reached; straight where left out. A Vault always is. */
  readonly route?: Route;
}

/** For one call to a provider; who waits for a credential waits no longer than 5 s. */
const CALL_MS = 10_000;
const MAX_ANSWER_BYTES = 256 * 1024;

interface Made {
  readonly name: string;
  readonly document: string;
  readonly source: CredentialSource;
}

export class SourceDirectory {
  readonly #options: SourceDirectoryOptions;
  readonly #parts: SourceParts;
  readonly #clients = new Map<string, VaultClient>();
  readonly #callers = new Map<string, HttpsCaller>();
  readonly #secretIds = new WrappedSecretIds();
  #documents: readonly CredentialSourceOptions[] | null = null;
  #byName = new Map<string, CredentialSourceOptions>();
  /** By name and form. */
  #made = new Map<string, Made>();

  constructor(options: SourceDirectoryOptions) {
    this.#options = options;
    this.#parts = {
      ...options,
      vaultClient: (source) => this.#clientFor(source),
      secretIds: this.#secretIds,
      httpsCaller: (endpoint) => this.#callerFor(endpoint),
    };
    this.#reload(options.sources());
  }

  /** @throws EgressError `credential_invalid`, `configuration_invalid`. */
  find(name: string, form: DeliveryOrder['form'] = 'parts'): CredentialSource {
    const documents = this.#options.sources();
    if (documents !== this.#documents) this.#reload(documents);
    return this.#sourceOf(name, form);
  }

  #sourceOf(name: string, form: DeliveryOrder['form'] = 'parts'): CredentialSource {
    const key = `${form} ${name}`;
    const made = this.#made.get(key);
    if (made !== undefined) return made.source;
    const options = this.#byName.get(name);
    if (options === undefined)
      throw new EgressError('credential_invalid', { detail: 'the credential source of the binding does not exist' });
    const isOwnForm = form === 'parts' || options.kind === 'vault';
    const source = isOwnForm ? make(options, this.#parts, form) : asDocument(this.#sourceOf(name));
    this.#made.set(key, { name, document: JSON.stringify(options), source });
    return source;
  }

  /** How to speak with the Vault of a source; null where there is no such source. @throws EgressError `configuration_invalid`. */
  vaultOf(name: string): { readonly client: VaultClient; readonly revocation: VaultLogin | null } | null {
    const options = this.#options.sources().find((each) => each.name === name);
    if (options?.kind !== 'vault') return null;
    const client = this.#clientFor(options);
    const { revocation } = options;
    const login = revocation === undefined ? null : createVaultLogin(revocation, { ...this.#parts, client });
    return { client, revocation: login };
  }

  async close(): Promise<void> {
    for (const { source } of this.#made.values()) source.close?.();
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    this.#clients.clear();
    for (const caller of this.#callers.values()) caller.close();
    this.#callers.clear();
    this.#secretIds.close();
  }

  #reload(documents: readonly CredentialSourceOptions[]): void {
    this.#documents = documents;
    this.#options.variables.claim(documents);
    this.#byName = new Map(documents.map((options) => [options.name, options]));
    for (const [key, { name, document, source }] of this.#made) {
      if (JSON.stringify(this.#byName.get(name)) === document) continue;
      source.close?.();
      this.#made.delete(key);
    }
    for (const { name, kind } of documents) if (BEGINS_AT_ONCE.has(kind)) this.#sourceOf(name);
  }

  #callerFor({ baseUrl, caFile }: ProviderEndpoint): HttpsCaller {
    const key = JSON.stringify([baseUrl, caFile]);
    const known = this.#callers.get(key);
    if (known !== undefined) return known;
    const caPem = caFile === null ? null : readRoots(caFile);
    const { route } = this.#options;
    const limits = { timeoutMs: CALL_MS, maxBodyBytes: MAX_ANSWER_BYTES };
    const caller = openHttpsCaller({ baseUrl, caPem, ...limits, ...(route === undefined ? {} : { route }) });
    this.#callers.set(key, caller);
    return caller;
  }

  #clientFor(options: VaultSourceOptions): VaultClient {
    const { address: configured, namespace, caFile, clientCertificate, redirects } = options;
    const address = configured === 'sandbox' ? this.#options.sandboxVaultAddress : configured;
    if (address === null)
      throw new EgressError('configuration_invalid', { detail: 'a credential source uses the sandbox, which is off' });
    const key = JSON.stringify([address, namespace, caFile, clientCertificate, redirects]);
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const client = openVaultClient({
      ...{ address, namespace, redirects: redirects ?? [], clock: this.#options.clock },
      ...(caFile === null ? {} : { caPem: readRoots(caFile) }),
      ...(clientCertificate === undefined
        ? {}
        : { clientCertificate: certificatePair(clientCertificate, this.#options) }),
    });
    this.#clients.set(key, client);
    return client;
  }
}

function make<K extends SourceKind>(
  options: OptionsOf<K>,
  parts: SourceParts,
  form: DeliveryOrder['form'],
): CredentialSource {
  const maker: Maker<K> = MAKERS[options.kind as K];
  return maker(options, parts, form);
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
