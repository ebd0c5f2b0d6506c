/** What a rate limit of a real server does to the product's own way to a credential. The embedded Vault has no quotas. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EgressError, toEgressError } from '../../src/core/errors.ts';
import { createStageOver } from '../../src/credential/stage.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { permit, workload } from '../unit/credential/permits.ts';
import { sourceAt } from './contract-source.ts';
import { ContractTarget, systemClock, TARGETS } from './contract-target.ts';

/** Logins in one interval. */
const RATE = 2;
const INTERVAL_S = 3;

describe.skipIf(!TARGETS.includes('real'))('a quota of the real Vault (needs VAULT_ADDR or VAULT_BIN)', () => {
  let target: ContractTarget;
  let client: VaultClient;
  let quota = '';
  let headersBefore: unknown;
  const signal = (): AbortSignal => AbortSignal.timeout(10_000);
  const ask = async (method: string, path: string, body?: object) =>
    target.ask(method, path, { token: target.root, ...(body === undefined ? {} : { body }) });
  beforeAll(async () => {
    target = await ContractTarget.open('real');
    client = openVaultClient({ address: target.address, namespace: null });
    await target.configure(`${target.mark}-kv1/x`, { api_key: 'static' });
    headersBefore = (await ask('GET', 'sys/quotas/config')).body.data?.['enable_rate_limit_response_headers'];
    quota = `sys/quotas/rate-limit/${target.mark}`;
  });
  afterAll(async () => {
    if (target !== undefined) {
      await ask('DELETE', quota);
      await ask('POST', 'sys/quotas/config', { enable_rate_limit_response_headers: headersBefore === true });
    }
    await client?.close();
    await target?.close();
  });

  const limit = async (tellsWhen: boolean): Promise<void> => {
    await ask('DELETE', quota);
    await target.configure('sys/quotas/config', { enable_rate_limit_response_headers: tellsWhen });
    await target.configure(quota, { path: `auth/${target.jwtMount}/`, rate: RATE, interval: INTERVAL_S });
  };
  const fetchOnce = async () => sourceAt(target, client, 'agent', 'kv1/x').fetch(workload(), signal());
  /** The first refusal; more logins than the rate allows were made. */
  const refusal = async (): Promise<EgressError> => {
    for (let login = 0; login <= 2 * RATE; login++) {
      const outcome = await fetchOnce().catch(toEgressError);
      if (!('revoke' in outcome)) return outcome;
      await outcome.revoke(signal());
    }
    throw new Error('the quota let everything pass');
  };

  it('is unavailability for a second at least, where the server does not say for how long', async () => {
    await limit(false);
    expect(await refusal()).toMatchObject({
      code: 'credential_unavailable',
      detail: 'the credential source limits requests',
      retryAfterMs: 1_000,
    });
  });

  it('is believed where it says for how long, and gives way after it', async () => {
    await limit(true);
    const refused = await refusal();
    expect(refused).toMatchObject({ code: 'credential_unavailable' });
    expect(refused.retryAfterMs).toBeGreaterThanOrEqual(1_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(INTERVAL_S * 1_000);
    // It rounds down, so that a second more may be left.
    await new Promise((resolve) => setTimeout(resolve, (refused.retryAfterMs ?? 0) + 1_000));
    const grant = await fetchOnce();
    await grant.revoke(signal());
  });

  it('is not asked again by the requests that come meanwhile', async () => {
    await limit(true);
    await refusal();
    const source = sourceAt(target, client, 'agent', 'kv1/x');
    let fetches = 0;
    const counting = {
      name: source.name,
      fetch: (caller: ReturnType<typeof workload>, until: AbortSignal) => {
        fetches += 1;
        return source.fetch(caller, until);
      },
    };
    const stage = createStageOver(
      { find: () => counting, close: async () => {} },
      { clock: systemClock, random: () => 0 },
    );
    try {
      for (let request = 0; request < 5; request++)
        await expect(stage.obtain(permit(workload()), signal())).rejects.toMatchObject({
          code: 'credential_unavailable',
        });
      expect(fetches).toBe(1);
    } finally {
      await stage.close(1_000);
    }
  });
});
