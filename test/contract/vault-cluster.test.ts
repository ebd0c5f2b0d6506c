/** What only servers of several nodes, and ones that may be sealed, can show: VAULT_BIN names the program. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EgressError } from '../../src/core/errors.ts';
import type { Grant } from '../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { vaultSource } from '../fakes/vault-source.ts';
import { workload } from '../unit/credential/permits.ts';
import { eventually, systemClock } from './contract-target.ts';
import { VAULT_BIN } from './server-process.ts';
import { VaultCluster, type VaultNode } from './vault-nodes.ts';

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const WITHIN = { timeout: 20_000, interval: 200 };
const POLICY = 'path "kv/data/*" { capabilities = ["read"] }\npath "pki/issue/*" { capabilities = ["update"] }';

describe.skipIf(VAULT_BIN === undefined)('a real cluster of two nodes (VAULT_BIN)', () => {
  let cluster: VaultCluster;
  let roleId = '';
  const clients: VaultClient[] = [];

  beforeAll(async () => {
    cluster = await VaultCluster.open(String(VAULT_BIN));
    await cluster.configure('sys/mounts/kv', { type: 'kv', options: { version: '2' } });
    await cluster.configure('sys/mounts/pki', { type: 'pki' });
    await cluster.configure('pki/root/generate/internal', { common_name: 'nodes.test', ttl: '2h' });
    await cluster.configure('pki/roles/agent', {
      ...{ allow_any_name: true, generate_lease: true, key_type: 'ec', key_bits: 256, ttl: '10m' },
    });
    await cluster.configure('sys/policies/acl/agent', { policy: POLICY });
    await cluster.configure('sys/auth/approle', { type: 'approle' });
    await cluster.configure('auth/approle/role/agent', {
      ...{ bind_secret_id: false, secret_id_bound_cidrs: '', token_bound_cidrs: ['127.0.0.0/8'] },
      ...{ token_policies: 'agent', token_ttl: '10m' },
    });
    const { body } = await cluster.active.ask('GET', 'auth/approle/role/agent/role-id', undefined, cluster.root);
    roleId = String((body as { data?: { role_id?: string } }).data?.role_id);
    // A new kv mount is upgraded first, and a standby hears of it later.
    const kept = { data: { api_key: 'kept' } };
    const asRoot = (node: VaultNode, method: string, body?: object) => async (): Promise<boolean> =>
      (await node.ask(method, 'kv/data/x', body, cluster.root)).status === 200;
    await eventually('the kv mount is not ready', asRoot(cluster.active, 'POST', kept));
    await eventually('the kv mount is not ready at the standby', asRoot(cluster.standby, 'GET'));
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) await client.close();
    await cluster?.close();
  });

  function fetchAt(node: VaultNode, path = 'kv/data/x', redirects: readonly string[] = []): Promise<Grant> {
    const client = openVaultClient({ address: node.address, namespace: null, timeoutMs: 5_000, redirects });
    clients.push(client);
    const isLeased = path.startsWith('pki/');
    return vaultSource(
      {
        ...{ kind: 'vault', name: 'nodes', address: node.address, namespace: null, caFile: null, path },
        ...{ auth: { kind: 'approle', mount: 'approle', roleId, secretId: null, wrappedAt: null } },
        ...{ method: isLeased ? 'POST' : 'GET', parameters: isLeased ? { common_name: 'agent.test' } : {} },
        fields: isLeased ? { key: 'serial_number' } : null,
      },
      { client, clock: systemClock, mintToken: () => Promise.reject(new Error('not asked for')) },
    ).fetch(workload(), signal());
  }

  const failureOf = async (promise: Promise<Grant>): Promise<EgressError> =>
    promise.then(
      () => expect.fail('did not fail'),
      (thrown: EgressError) => thrown,
    );

  it('serves a fresh token on the standby, time and again', async () => {
    for (let i = 0; i < 25; i++) {
      const grant = await fetchAt(cluster.standby);
      expect(grant.parts.get('key')?.reveal().toString()).toBe('kept');
      await grant.revoke(signal());
    }
  });

  it('makes and revokes leases through the standby', async () => {
    const grant = await fetchAt(cluster.standby, 'pki/issue/agent');
    const lookup = (): Promise<{ status: number }> =>
      cluster.active.ask('PUT', 'sys/leases/lookup', { lease_id: grant.leaseId }, cluster.root);
    expect((await lookup()).status).toBe(200);
    await grant.revoke(signal());
    await expect.poll(async () => (await lookup()).status, { timeout: 5_000 }).toBe(400);
  });

  it('works through the server’s own caching proxy, which wants to be told that it is meant', async () => {
    const front = await cluster.proxied();
    const [first, second] = [await fetchAt(front, 'pki/issue/agent'), await fetchAt(front, 'pki/issue/agent')];
    expect(first.leaseId).not.toBe(second.leaseId);
    for (const grant of [first, second]) await grant.revoke(signal());
    const grant = await fetchAt(front);
    expect(grant.parts.get('key')?.reveal().toString()).toBe('kept');
    await grant.revoke(signal());
  });

  it('says when to come back where a quota is used up', async () => {
    // Without it no Retry-After is sent, and a second is assumed.
    await cluster.configure('sys/quotas/config', { enable_rate_limit_response_headers: true });
    await cluster.configure('sys/quotas/rate-limit/kv', { path: 'kv/', rate: 1, interval: '20s' });
    try {
      const grants = await Promise.allSettled([1, 2, 3].map(() => fetchAt(cluster.active)));
      const refused = grants.filter((each) => each.status === 'rejected').map(({ reason }) => reason as EgressError);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused[0]).toMatchObject({
        code: 'credential_unavailable',
        detail: 'the credential source limits requests',
      });
      expect(refused[0]?.retryAfterMs).toBeGreaterThan(1_000);
    } finally {
      await cluster.active.ask('DELETE', 'sys/quotas/rate-limit/kv', undefined, cluster.root);
    }
  });

  it('is away while it is sealed, and takes back afterwards what it gave before', async () => {
    const grant = await fetchAt(cluster.active, 'pki/issue/agent');
    for (const node of [cluster.standby, cluster.active]) await node.ask('PUT', 'sys/seal', {}, cluster.root);
    const sealed = await failureOf(fetchAt(cluster.active));
    expect(sealed.code).toBe('credential_unavailable');
    expect(sealed.retryAfterMs).toBeGreaterThan(0);
    for (const node of [cluster.active, cluster.standby]) await node.unseal(cluster.unsealKey);
    await expect.poll(async () => (await fetchAt(cluster.active).catch(() => null)) !== null, WITHIN).toBe(true);
    await grant.revoke(signal());
  }, 60_000);
});
