/** Duty: a source of Vault that needs nothing but a client: its login included. */
import type { Clock } from '../../src/core/clock.ts';
import type { Secret } from '../../src/core/secret.ts';
import type { VaultSourceOptions } from '../../src/credential/options.ts';
import type { CredentialSource } from '../../src/credential/source.ts';
import { Variables } from '../../src/credential/sources/variables.ts';
import { createVaultSource } from '../../src/credential/sources/vault.ts';
import { createVaultLogin } from '../../src/credential/sources/vault-login.ts';
import { WrappedSecretIds } from '../../src/credential/sources/wrapped-secret-ids.ts';
import type { VaultClient } from '../../src/vault/client.ts';
import type { Workload } from '../../src/workload/workload.ts';

export interface VaultWorld {
  readonly client: VaultClient;
  readonly clock: Clock;
  readonly mintToken: (workload: Workload, audience: readonly string[]) => Promise<Secret>;
  readonly form?: 'parts' | 'document';
  readonly variables?: Readonly<Record<string, string>>;
  readonly secretIds?: WrappedSecretIds;
}

export function vaultSource(options: VaultSourceOptions, world: VaultWorld): CredentialSource {
  const { client, clock, mintToken, form, variables = {}, secretIds = new WrappedSecretIds() } = world;
  const kept = new Variables((name) => variables[name] ?? null);
  kept.claim([options]);
  const login = createVaultLogin(options.auth, {
    ...{ client, clock, mintToken, secretIds, variables: kept },
    ownUid: process.getuid?.() ?? 0,
  });
  return createVaultSource({ options, client, clock, login, ...(form === undefined ? {} : { form }) });
}
