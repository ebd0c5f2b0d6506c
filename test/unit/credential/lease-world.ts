/**
 * Duty: a Vault with a role that every workload may log in to, an engine that makes leases, and a signer of workload tokens.
 * In → Out: address and root token → sources of the product, tokens.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Clock } from '../../../src/core/clock.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { VaultSourceOptions } from '../../../src/credential/options.ts';
import { Variables } from '../../../src/credential/sources/variables.ts';

/** What a stage over Vault alone has no use for. */
export const VAULT_ALONE = { ownUid: 0, stateDirectory: '/nonexistent', variables: new Variables(() => null) };

export interface LeaseWorld {
  readonly sources: readonly VaultSourceOptions[];
  mint(workload: string): Promise<Secret>;
}

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const SIGNING_KEY_PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** A workload token, as the proxy's issuer makes them. */
export async function mintWith(keyPem: string, workload: string, clock: Clock): Promise<Secret> {
  const now = Math.floor(clock.now() / 1_000);
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256' })
    .setSubject(`spiffe://example.org/${workload}`)
    .setAudience('vault')
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
    .sign(createPrivateKey(keyPem));
  return Secret.copyOf(Buffer.from(token));
}

export interface LeaseWorldOptions {
  readonly leaseTtl: string;
  readonly clock: Clock;
  readonly tokenTtl?: string;
  readonly source?: Partial<VaultSourceOptions>;
}

export async function openLeaseWorld(
  address: string,
  rootToken: string,
  { leaseTtl, clock, tokenTtl = '24h', source = {} }: LeaseWorldOptions,
): Promise<LeaseWorld> {
  const write = async (path: string, body: object): Promise<void> => {
    const response = await fetch(`${address}/v1/${path}`, {
      method: 'POST',
      headers: { 'x-vault-token': rootToken },
      body: JSON.stringify(body),
    });
    if (response.status >= 300) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  };
  await write('sys/auth/jwt', { type: 'jwt' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  await write('auth/jwt/config', { jwt_validation_pubkeys: [pem] });
  const role = (policy: string, more: object): object => ({
    ...{ role_type: 'jwt', user_claim: 'sub', bound_audiences: ['vault'], token_policies: [policy] },
    ...{ token_ttl: tokenTtl, token_max_ttl: '24h' },
    ...more,
  });
  await write('sys/policies/acl/agents', { policy: 'path "openai/creds/agents" { capabilities = ["read"] }' });
  await write('sys/policies/acl/janitor', {
    policy:
      'path "auth/token/revoke-accessor" { capabilities = ["update"] } path "sys/leases/revoke" { capabilities = ["update"] }',
  });
  await write('auth/jwt/role/agents', role('agents', { bound_claims_type: 'glob', bound_claims: { sub: '*' } }));
  await write('auth/jwt/role/janitor', role('janitor', { bound_subject: 'spiffe://example.org/countersign/janitor' }));
  await write('sys/mounts/openai', { type: 'openai' });
  await write('openai/config', { admin_api_key: 'sk-admin-x', admin_api_key_id: 'key_x', organization_id: 'org-x' });
  await write('openai/roles/agents', {
    ...{ project_id: 'proj_x', service_account_name_template: 'vault-{{.RoleName}}-{{.RandomSuffix}}' },
    ...{ ttl: leaseTtl, max_ttl: '24h' },
  });
  return {
    sources: [
      {
        ...{ kind: 'vault', name: 'vault', address, namespace: null, caFile: null, method: 'GET', parameters: {} },
        ...{ auth: { kind: 'jwt', mount: 'jwt', role: 'agents', audience: ['vault'] } },
        ...{ path: 'openai/creds/agents', fields: null, ...source },
      },
    ],
    mint: (workload) => mintWith(SIGNING_KEY_PEM, workload, clock),
  };
}
