/**
 * Two nodes of a real server with raft: what was made at the active node a moment ago may be unknown at the standby that is asked.
 * Needs VAULT_BIN. OpenBao answers reads at a standby since 2.5; where one forwards everything, the same must hold.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toEgressError } from '../../src/core/errors.ts';
import type { Grant } from '../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { workload } from '../unit/credential/permits.ts';
import { sourceAt } from './contract-source.ts';
import { ContractTarget, eventually } from './contract-target.ts';
import { VAULT_BIN } from './server-process.ts';
import { VaultCluster } from './vault-nodes.ts';

const ROUNDS = 20;
const AT_ONCE = 5;

/** What the configuration of the standby says more. */
const STANDBYS = [
  ['that answers reads itself, as OpenBao does by default', ''],
  ['that forwards everything', 'disable_standby_reads = true'],
] as const;

describe.skipIf(VAULT_BIN === undefined).each(STANDBYS)('a standby %s (needs VAULT_BIN)', (_what, setting) => {
  let cluster: VaultCluster;
  let target: ContractTarget;
  let client: VaultClient;
  const signal = (): AbortSignal => AbortSignal.timeout(10_000);
  beforeAll(async () => {
    cluster = await VaultCluster.open(String(VAULT_BIN), setting);
    await cluster.registerPlugins();
    target = await ContractTarget.open('real', { address: cluster.active.address, root: cluster.root });
    client = openVaultClient({ address: cluster.standby.address, namespace: null });
    await target.configure(`${target.mark}-kv1/x`, { api_key: 'static' });
  }, 90_000);
  afterAll(async () => {
    await client?.close();
    await target?.close();
    await cluster?.close();
  });

  const fetchGrant = (role: string, path: string): Promise<Grant> =>
    sourceAt(target, client, role, path).fetch(workload(), signal());
  const rounds = async (role: string, path: string): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const grants = await Promise.all(Array.from({ length: AT_ONCE }, () => fetchGrant(role, path)));
      for (const grant of grants) {
        if (grant.leaseId !== null) expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
        await grant.revoke(signal());
      }
    }
  };

  it('is known as what it is', async () => {
    // It has just heard of all the mounts.
    await expect.poll(() => client.health(signal()).catch(() => 'unknown'), { timeout: 10_000 }).toBe('standby');
  });

  it.each(['agent', 'twice'])('gives what has no lease to a token of the role %s that is new', async (role) => {
    await rounds(role, 'kv1/x');
  });

  it('gives a lease to a token of counted uses that is new', async ({ skip }) => {
    if (target.openai === 'absent') skip('this server has no openai engine');
    await rounds('twice', 'dyn/creds/agent');
    await eventually('an account was left', async () => target.openaiAdmin.accounts.size === 0);
  });

  it('gives a lease to a token of any uses, or says what would help', async ({ skip }) => {
    if (target.openai === 'absent') skip('this server has no openai engine');
    const outcome = await fetchGrant('agent', 'dyn/creds/agent').catch(toEgressError);
    if ('revoke' in outcome) return outcome.revoke(signal());
    expect(setting, 'a standby that forwards everything gives a lease').toBe('');
    expect(outcome).toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringContaining('name the active node, or set token_num_uses to 2'),
      retryAfterMs: 10_000,
    });
  });

  it('is unavailable when the active node of two has gone', async () => {
    const grant = await fetchGrant('agent', 'kv1/x');
    await cluster.active.stop();
    await expect(fetchGrant('agent', 'kv1/x')).rejects.toMatchObject({ code: 'credential_unavailable' });
    await expect(grant.revoke(signal())).rejects.toMatchObject({ code: 'credential_unavailable' });
  });
});
