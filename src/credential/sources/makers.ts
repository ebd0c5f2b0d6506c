/**
 * Duty: kind of source → how one is made.
 * Holds: what few policies use is loaded at its first use (loaded-later.ts), so that a start does not pay for it.
 * Not here: when a source is made, and how long it lives (directory.ts).
 */
import type { Clock } from '../../core/clock.ts';
import type { Secret } from '../../core/secret.ts';
import type { VaultClient } from '../../vault/client.ts';
import type { Workload } from '../../workload/workload.ts';
import type { DeliveryOrder } from '../credential.ts';
import type { CredentialSourceOptions, ProviderEndpoint, VaultSourceOptions } from '../options.ts';
import type { CredentialSource, SourceEvent } from '../source.ts';
import { createEnvSource } from './env.ts';
import { createFileSource } from './file.ts';
import type { HttpsCaller } from './https-call.ts';
import { loadedLater } from './loaded-later.ts';
import { PROVIDER_MAKERS } from './provider-makers.ts';
import type { Variables } from './variables.ts';
import { createVaultSource } from './vault.ts';

/** What sources of any kind may need. */
export interface SourceParts {
  readonly clock: Clock;
  /** A workload token (JWT) for that audience, with more claims beside its own; whoever asked destroys it. */
  readonly mintToken: (
    workload: Workload,
    audience: readonly string[],
    claims?: Readonly<Record<string, unknown>>,
  ) => Promise<Secret>;
  /** Who the files of secrets may belong to, beside root. */
  readonly ownUid: number;
  /** For what a source must keep beyond the process. */
  readonly stateDirectory: string;
  /** Of the process, as far as sources name them. */
  readonly variables: Variables;
  /** The source has something else than before; what was handed out is to be replaced. */
  readonly changed: (name: string) => void;
  /** Shared by the sources of one address; nobody but its maker closes it. @throws EgressError `configuration_invalid`. */
  readonly vaultClient: (options: VaultSourceOptions) => VaultClient;
  /** Likewise. @throws EgressError `configuration_invalid`. */
  readonly httpsCaller: (endpoint: ProviderEndpoint) => HttpsCaller;
  /** What sources do by themselves; must not throw. */
  readonly onSourceEvent?: (event: SourceEvent) => void;
}

export type SourceKind = CredentialSourceOptions['kind'];
export type OptionsOf<K extends SourceKind> = Extract<CredentialSourceOptions, { readonly kind: K }>;
/** @throws EgressError `configuration_invalid`. */
export type Maker<K extends SourceKind> = (
  options: OptionsOf<K>,
  parts: SourceParts,
  form: DeliveryOrder['form'],
) => CredentialSource;

export const MAKERS: { readonly [K in SourceKind]: Maker<K> } = {
  file: createFileSource,
  env: createEnvSource,
  exec: (options, parts) =>
    loadedLater(options.name, async () => (await import('./exec.ts')).createExecSource(options, parts)),
  keyring: (options, parts) =>
    loadedLater(options.name, async () => (await import('./keyring.ts')).createKeyringSource(options, parts)),
  vault: (options, parts, form) => createVaultSource({ ...parts, options, client: parts.vaultClient(options), form }),
  oauth2: (options, parts) =>
    loadedLater(options.name, async () => {
      const { createOAuth2Source } = await import('./oauth2.ts');
      return createOAuth2Source({ ...parts, options, caller: parts.httpsCaller(options) });
    }),
  ...PROVIDER_MAKERS,
};

/** Kinds of which one begins its work when it is there, and not when it is first used. */
export const BEGINS_AT_ONCE: ReadonlySet<SourceKind> = new Set(['openaiAdmin']);
