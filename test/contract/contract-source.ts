import { Secret } from '../../src/core/secret.ts';
import type { VaultSourceOptions } from '../../src/credential/options.ts';
import type { CredentialSource } from '../../src/credential/source.ts';
import type { VaultClient } from '../../src/vault/client.ts';
import { vaultSource } from '../fakes/vault-source.ts';
import { type ContractTarget, systemClock } from './contract-target.ts';

/** The product's own credential source at the target, for the subject of its roles. `path`: below the target's mark. */
export function sourceAt(
  target: ContractTarget,
  client: VaultClient,
  role: string,
  path: string,
  more: Partial<VaultSourceOptions> = {},
): CredentialSource {
  return vaultSource(
    {
      kind: 'vault',
      name: 'contract',
      address: target.address,
      namespace: null,
      caFile: null,
      auth: { kind: 'jwt', mount: target.jwtMount, role, audience: ['vault'] },
      path: `${target.mark}-${path}`,
      method: 'GET',
      parameters: {},
      fields: null,
      ...more,
    },
    { client, clock: systemClock, mintToken: async () => Secret.copyOf(Buffer.from(await target.jwt())) },
  );
}
