/**
 * One suite for two servers: what happens to calls and leases when the server is sealed. The real one is a cluster of this suite's own,
 * of the program that VAULT_BIN names.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toEgressError } from '../../src/core/errors.ts';
import type { Grant } from '../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { workload } from '../unit/credential/permits.ts';
import { sourceAt } from './contract-source.ts';
import { ContractTarget, type TargetKind } from './contract-target.ts';
import { VAULT_BIN } from './server-process.ts';
import { VaultCluster } from './vault-nodes.ts';

const IN_FLIGHT = 40;
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

interface Sealable {
  readonly target: ContractTarget;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  close(): Promise<void>;
}

async function open(kind: TargetKind): Promise<Sealable> {
  if (kind === 'embedded') {
    const target = await ContractTarget.open(kind);
    return {
      target,
      seal: async () => target.embedded?.seal(),
      unseal: async () => target.embedded?.unseal(),
      close: () => target.close(),
    };
  }
  const cluster = await VaultCluster.open(String(VAULT_BIN));
  await cluster.registerPlugins();
  const target = await ContractTarget.open('real', { address: cluster.active.address, root: cluster.root });
  return {
    target,
    seal: () => cluster.seal(),
    unseal: () => cluster.unseal(),
    close: () => target.close().finally(() => cluster.close()),
  };
}

describe.each(['embedded', 'real'] as const)('the %s Vault', (kind) => {
  describe.skipIf(kind === 'real' && VAULT_BIN === undefined)('(a real one needs VAULT_BIN)', () => {
    let server: Sealable;
    let target: ContractTarget;
    let client: VaultClient;
    beforeAll(async () => {
      server = await open(kind);
      target = server.target;
      client = openVaultClient({ address: target.address, namespace: null });
    }, 60_000);
    afterAll(async () => {
      await client?.close();
      await server?.close();
    });

    const fetchGrant = (): Promise<Grant> => {
      const { method, path, body } = target.dynamic;
      const more = { method: method as 'GET' | 'POST', parameters: (body ?? {}) as Record<string, string> };
      const fields = target.openai === 'absent' ? { key: 'private_key' } : null;
      return sourceAt(target, client, 'agent', path.slice(target.mark.length + 1), { ...more, fields }).fetch(
        workload(),
        signal(),
      );
    };

    const leasesLeft = async (): Promise<readonly string[]> => {
      const { body } = await target.ask('LIST', `sys/leases/lookup/${target.dynamic.path}`, { token: target.root });
      return (body.data?.['keys'] as readonly string[] | undefined) ?? [];
    };

    it('refuses all while sealed, and has token and lease as they were afterwards', async () => {
      const grant = await fetchGrant();
      await server.seal();
      expect(await client.health(signal())).toBe('sealed');
      await expect(fetchGrant()).rejects.toMatchObject({
        code: 'credential_unavailable',
        detail: 'the credential source is sealed or in maintenance',
      });
      await server.unseal();
      expect(await client.health(signal())).toBe('active');
      expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
      await grant.revoke(signal());
      await target.expectLeaseGone(grant.leaseId);
    });

    it('sealed in the middle of many calls: each is whole or unavailable, and nothing outlives its token', async () => {
      const calls = Array.from({ length: IN_FLIGHT }, async () => fetchGrant().catch(toEgressError));
      await Promise.race(calls);
      await server.seal();
      const outcomes = await Promise.all(calls);
      await server.unseal();
      const grants = outcomes.filter((outcome): outcome is Grant => 'revoke' in outcome);
      for (const outcome of outcomes)
        if (!('revoke' in outcome)) expect(outcome).toMatchObject({ code: 'credential_unavailable' });
      expect(grants.length).toBeGreaterThan(0);
      for (const grant of grants) expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
      await Promise.all(grants.map((grant) => grant.revoke(signal())));
      for (const grant of grants) await target.expectLeaseGone(grant.leaseId);
      // A call that was cut may have left its lease, whose token nobody has: it ends with the token's own time.
      expect((await leasesLeft()).length).toBeLessThanOrEqual(IN_FLIGHT - grants.length);
    });
  });
});
