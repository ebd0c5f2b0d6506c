import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Secret } from '../../../../src/core/secret.ts';
import { createSpiffeId } from '../../../../src/core/spiffe-id.ts';
import type { CredentialStage } from '../../../../src/credential/credential.ts';
import { JANITOR_NAME, type VaultSourceOptions } from '../../../../src/credential/options.ts';
import type { OrphanReport } from '../../../../src/credential/sources/janitor.ts';
import { createCredentialStage } from '../../../../src/credential/stage.ts';
import { createSandboxRegistry } from '../../../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../../../src/sandbox/vault/server.ts';
import { openLeaseJournal } from '../../../../src/store/lease-journal.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { type LeaseWorld, openLeaseWorld, VAULT_ALONE } from '../lease-world.ts';
import { permit, workload } from '../permits.ts';

const at = (role: string) => ({ kind: 'jwt', mount: 'jwt', role, audience: ['vault'] }) as const;
const never = new AbortController().signal;
let folder: string;
let clock: FakeClock;
let vault: SandboxVault;
let world: LeaseWorld;
let reports: OrphanReport[];
let stages: CredentialStage[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'janitor-'));
  clock = new FakeClock();
  reports = [];
  stages = [];
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock, registry: createSandboxRegistry(clock) });
  world = await openLeaseWorld(vault.address, vault.rootToken, { leaseTtl: '1h', clock, tokenTtl: '2h' });
});
afterEach(async () => {
  vault.outage(false);
  for (const stage of stages) await stage.close(1_000);
  await vault.close();
  rmSync(folder, { recursive: true });
});

/** A run of the proxy; the one before it is left as a crash leaves it. */
function run(more: Partial<VaultSourceOptions> = { revocation: at('janitor') }): CredentialStage {
  const journal = openLeaseJournal({
    ...{ path: join(folder, 'leases.journal'), ownUid: process.getuid?.() ?? 0, clock },
    onFailure: (error) => expect.fail(error.message),
  });
  const sources = world.sources.map((each) => ({ ...each, ...more }));
  const self = { ...workload(JANITOR_NAME), spiffeId: createSpiffeId('example.org', `/${JANITOR_NAME}`) };
  const stage = createCredentialStage({
    ...VAULT_ALONE,
    ...{ sources: () => sources, clock, random: () => 0.5, sandboxVaultAddress: null, journal },
    mintToken: (caller): Promise<Secret> => world.mint(caller.name),
    orphans: { self, report: (report) => reports.push(report) },
  });
  stages.push(stage);
  return stage;
}

const text = (): string => readFileSync(join(folder, 'leases.journal'), 'utf8');
const told = async (count = 1): Promise<OrphanReport | undefined> => {
  await expect.poll(() => reports.length, { interval: 5 }).toBe(count);
  return reports.at(-1);
};

describe('what a crash left', () => {
  it('is revoked by the next run, with what was made with it, and what is its own lives', async () => {
    const first = run();
    const secrets: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      const credential = await first.obtain(permit(workload(name)), never);
      secrets.push(credential?.parts.get('key')?.reveal().toString() ?? '');
    }
    expect(vault.liveLeases()).toHaveLength(3);
    for (const secret of secrets) expect(text()).not.toContain(secret);
    expect(text()).not.toContain('hvs.');
    const second = run();
    await second.obtain(permit(workload('d')), never);
    expect(await told()).toEqual({ source: 'vault', revoked: 3, ended: 0, left: 0, endsAt: null, reason: null });
    expect(vault.liveLeases()).toHaveLength(1);
    run();
    expect(await told(2)).toMatchObject({ revoked: 1 });
    expect(vault.liveLeases()).toEqual([]);
  });

  it('of batch tokens is revoked lease by lease', async () => {
    const role = { token_type: 'batch', token_ttl: '2h', token_max_ttl: '24h' };
    await fetch(`${vault.address}/v1/auth/jwt/role/agents`, {
      method: 'POST',
      headers: { 'x-vault-token': vault.rootToken },
      body: JSON.stringify({
        ...{ role_type: 'jwt', user_claim: 'sub', bound_audiences: ['vault'], token_policies: ['agents'] },
        ...{ bound_claims_type: 'glob', bound_claims: { sub: '*' } },
        ...role,
      }),
    });
    await run().obtain(permit(), never);
    expect(text()).toContain('"leaseId":"openai/creds/agents/');
    run();
    expect(await told()).toMatchObject({ revoked: 1, left: 0 });
    expect(vault.liveLeases()).toEqual([]);
  });

  it('is told to end by itself where the source names no role for it', async () => {
    const first = run({});
    await first.obtain(permit(), never);
    run({});
    const ends = clock.now() + 2 * 3_600_000;
    expect(await told()).toEqual({
      ...{ source: 'vault', revoked: 0, ended: 0, left: 1, endsAt: ends, reason: 'no_role' },
    });
    await clock.advance(2 * 3_600_000 + 1);
    run({});
    expect(await told(2)).toMatchObject({ ended: 1, left: 0 });
  });

  it('is left where the role may not revoke, or is not there', async () => {
    await run().obtain(permit(), never);
    for (const [count, role] of ['agents', 'nobody'].entries()) {
      run({ revocation: at(role) });
      expect(await told(count + 1)).toMatchObject({ revoked: 0, left: 1, reason: 'credential_denied' });
    }
    expect(vault.liveLeases()).toHaveLength(1);
  });

  it('is tried again where Vault is away', async () => {
    await run().obtain(permit(), never);
    vault.outage('drop');
    run();
    expect(await told()).toMatchObject({ revoked: 0, left: 1, reason: 'credential_unavailable' });
    vault.outage(false);
    await clock.advance(2_000);
    expect(await told(2)).toMatchObject({ revoked: 1, left: 0 });
    expect(vault.liveLeases()).toEqual([]);
  });

  it('is also what this run could not revoke while Vault was away', async () => {
    const stage = run();
    const held = await stage.obtain(permit(), never);
    if (held === null) throw new Error('no credential');
    vault.outage('drop');
    stage.retireShared('agent');
    stage.release(held);
    await expect.poll(() => vault.liveLeases().length + stage.list().length, { interval: 5 }).toBe(1);
    vault.outage(false);
    await clock.advance(30_000);
    expect(await told()).toMatchObject({ revoked: 1, left: 0 });
    expect(vault.liveLeases()).toEqual([]);
  });

  it('is nothing after an end in order', async () => {
    const first = run();
    await first.obtain(permit(), never);
    await first.close(1_000);
    run();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(reports).toEqual([]);
  });

  it('is a token alone where the read was never answered', async () => {
    await run().obtain(permit(), never);
    const [line] = text().split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({ source: 'vault', workload: 'agent', leaseId: null });
  });
});
