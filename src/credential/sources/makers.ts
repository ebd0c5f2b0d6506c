/**
 * Duty: kind of source → how one is made.
 * Holds: what few policies use is loaded at its first use (loaded-later.ts), so that a start does not pay for it.
 * Not here: when a source is made, and how long it lives (directory.ts).
 */
import type { DeliveryOrder } from '../credential.ts';
import type { CredentialSourceOptions } from '../options.ts';
import type { CredentialSource } from '../source.ts';
import { createEnvSource } from './env.ts';
import { createFileSource } from './file.ts';
import { loadedLater } from './loaded-later.ts';
import { PROVIDER_MAKERS } from './provider-makers.ts';
import type { SourceParts } from './source-parts.ts';
import { createVaultSource } from './vault.ts';
import { createVaultLogin } from './vault-login.ts';

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
  vault: (options, { journal, ...parts }, form) => {
    // The sandbox's Vault ends with the process, and all its leases with it.
    const noted = journal === undefined || options.address === 'sandbox' ? {} : { journal };
    const client = parts.vaultClient(options);
    const login = createVaultLogin(options.auth, { ...parts, client });
    return createVaultSource({ ...noted, options, client, login, clock: parts.clock, form });
  },
  oauth2: (options, parts) =>
    loadedLater(options.name, async () => {
      const { createOAuth2Source } = await import('./oauth2.ts');
      return createOAuth2Source({ ...parts, options, caller: parts.httpsCaller(options) });
    }),
  ...PROVIDER_MAKERS,
};

/** Kinds of which one begins its work when it is there, and not when it is first used. */
export const BEGINS_AT_ONCE: ReadonlySet<SourceKind> = new Set(['openaiAdmin']);
