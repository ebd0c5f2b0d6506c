/** One suite for two servers: the product's own way to a credential, login to revocation. See contract-target.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { workload } from '../unit/credential/permits.ts';
import { sourceAt } from './contract-source.ts';
import { ContractTarget, systemClock, TARGETS } from './contract-target.ts';

describe.each(TARGETS)('a credential source at the %s Vault', (kind) => {
  let target: ContractTarget;
  let client: VaultClient;
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
    client = openVaultClient({ address: target.address, namespace: null });
    await target.configure(`${target.mark}-kv2/data/source`, { data: { api_key: 'static-key' } });
  });
  afterAll(async () => {
    await client?.close();
    await target?.close();
  });

  const signal = (): AbortSignal => AbortSignal.timeout(10_000);

  const source = (role: string, path: string): CredentialSource => sourceAt(target, client, role, path);

  const isLive = async (accessor: string | null): Promise<boolean> =>
    (await target.ask('POST', 'auth/token/lookup-accessor', { token: target.root, body: { accessor } })).status === 200;

  it.each(['agent', 'twice'])('reads KV 2 as the role %s and ends the token', async (role) => {
    const grant = await source(role, 'kv2/data/source').fetch(workload(), signal());
    expect(grant.parts.get('key')?.reveal().toString()).toBe('static-key');
    expect(grant).toMatchObject({ leaseId: null, renewable: false });
    expect(await isLive(grant.accessor)).toBe(true);
    await grant.revoke(signal());
    expect(await isLive(grant.accessor)).toBe(false);
  });

  it.for(['agent', 'twice'])(
    'gets an OpenAI key as the role %s, whose lease ends with the grant',
    async (role, { skip }) => {
      if (target.openai === 'absent') skip('this server has no openai engine');
      const grant = await source(role, 'dyn/creds/agent').fetch(workload(), signal());
      expect(grant.renewable).toBe(false);
      expect(grant.expiresAtMonotonicMs - systemClock.monotonicMs()).toBeLessThanOrEqual(600_000);
      expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
      await grant.revoke(signal());
      await target.expectLeaseGone(grant.leaseId);
    },
  );

  it('ends the token of a lease that its engine cannot take back, and the server goes on trying', async ({ skip }) => {
    if (target.openai !== 'plugin') skip('needs an engine that asks OpenAI');
    const grant = await source('agent', 'dyn/creds/agent').fetch(workload(), signal());
    target.openaiAdmin.refusesDeletion = true;
    try {
      await grant.revoke(signal());
      expect(await isLive(grant.accessor)).toBe(false);
      expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
      // By its id, so that the server says at once what it thinks of it.
      const body = { lease_id: grant.leaseId, sync: true };
      const refused = await target.ask('PUT', 'sys/leases/revoke', { token: target.root, body });
      expect(refused.status).toBeGreaterThanOrEqual(400);
      target.openaiAdmin.refusesDeletion = false;
      expect((await target.ask('PUT', 'sys/leases/revoke', { token: target.root, body })).status).toBe(204);
      await target.expectLeaseGone(grant.leaseId);
      expect(target.openaiAdmin.accounts.size).toBe(0);
    } finally {
      target.openaiAdmin.refusesDeletion = false;
    }
  });

  it('names the cure where the role gives tokens of one use', async ({ skip }) => {
    if (target.openai === 'absent') skip('this server has no openai engine');
    await expect(source('once', 'dyn/creds/agent').fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
      detail: expect.stringContaining('set token_num_uses to 0 or 2'),
    });
  });

  it('renews the lease of an AWS user, token first', async ({ skip }) => {
    if (target.aws === 'absent') skip('this server has no aws engine');
    const grant = await source('agent', 'aws/creds/user').fetch(workload(), signal());
    expect([...grant.parts.keys()].sort()).toEqual(['accessKeyId', 'secretAccessKey']);
    expect(grant.renewable).toBe(true);
    const endsAt = await grant.renew?.(signal());
    expect(endsAt).toBeGreaterThanOrEqual(grant.expiresAtMonotonicMs);
    await grant.revoke(signal());
    await target.expectLeaseGone(grant.leaseId);
  });

  it('gets an AWS session with its token', async ({ skip }) => {
    if (target.aws === 'absent') skip('this server has no aws engine');
    const grant = await source('agent', 'aws/sts/session').fetch(workload(), signal());
    expect([...grant.parts.keys()].sort()).toEqual(['accessKeyId', 'secretAccessKey', 'sessionToken']);
    expect(grant.renewable).toBe(false);
    await grant.revoke(signal());
  });

  it.each([
    ['a role that is not there', 'nobody', 'kv2/data/source', 'check role, parameters and lease'],
    ['a path that policy does not give', 'agent', 'nowhere/x', 'refused the workload'],
    ['a secret that is not there', 'agent', 'kv2/data/none', 'has nothing at the configured place'],
  ])('is denied %s', async (_what, role, path, detail) => {
    await expect(source(role, path).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
      detail: expect.stringContaining(detail),
    });
  });

  it('knows that the server is active', async () => {
    expect(await client.health(signal())).toBe('active');
  });
});
