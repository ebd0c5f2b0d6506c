/** Duty: what workloads notice of a Vault that is away: the cache and the source of the product, the sandbox's Vault, time that is told. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EgressError } from '../../../src/core/errors.ts';
import type { Secret } from '../../../src/core/secret.ts';
import type { CredentialStage } from '../../../src/credential/credential.ts';
import { createCredentialStage, type LeaseEvent } from '../../../src/credential/stage.ts';
import { createSandboxRegistry } from '../../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../../src/sandbox/vault/server.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FaultProxy } from '../../fakes/fault-proxy.ts';
import { openLeaseWorld, VAULT_ALONE } from './lease-world.ts';
import { permit, workload } from './permits.ts';

const MINUTE = 60_000;
const never = new AbortController().signal;
let clock: FakeClock;
let vault: SandboxVault;
let faults: FaultProxy;
let stage: CredentialStage;
let events: LeaseEvent[];
let mint: (workload: string) => Promise<Secret>;

beforeEach(async () => {
  clock = new FakeClock();
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock, registry: createSandboxRegistry(clock) });
  events = [];
  faults = await FaultProxy.open(vault.address);
  const source = { address: faults.address };
  const world = await openLeaseWorld(vault.address, vault.rootToken, { leaseTtl: '1h', clock, source });
  mint = world.mint;
  stage = createCredentialStage({
    ...VAULT_ALONE,
    sources: () => world.sources,
    clock,
    random: () => 0.5,
    sandboxVaultAddress: null,
    mintToken: (caller) => mint(caller.name),
    observe: (event) => events.push(event),
  });
});
afterEach(async () => {
  await faults.close();
  await stage.close(1_000);
  await vault.close();
});

/** Lets real sockets come to rest while told time stands still. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

async function ask(name = 'agent'): Promise<number | EgressError> {
  try {
    const credential = await stage.obtain(permit(workload(name)), never);
    if (credential === null) throw new Error('no credential');
    stage.release(credential);
    return credential.generation;
  } catch (thrown) {
    return thrown as EgressError;
  }
}

describe.each(['refuse', 'hole', 'cut'] as const)('a Vault that is away (%s)', (fault) => {
  it('for 30 minutes fails no request while leases are valid', async () => {
    expect(await ask()).toBe(1);
    await clock.advance(10 * MINUTE);
    await faults.set(fault);
    for (let minute = 0; minute < 30; minute++) {
      await clock.advance(MINUTE);
      expect(await ask()).toBe(1);
    }
    expect(vault.liveLeases()).toHaveLength(1);
    await faults.set('none');
    await clock.advance(MINUTE);
    await settle();
    await clock.advance(MINUTE);
    expect(await ask()).toBeGreaterThanOrEqual(1);
    expect(events.some(({ kind }) => kind === 'expired')).toBe(false);
  });

  it('past the end refuses within a second, with Retry-After, and serves within 5 s of its return', async () => {
    expect(await ask()).toBe(1);
    await clock.advance(30 * MINUTE);
    await ask();
    await faults.set(fault);
    // Real time passes for the calls that fail while told time goes on.
    for (let i = 0; i < 30; i++) {
      await clock.advance(MINUTE);
      await settle();
    }
    const from = clock.monotonicMs();
    const asking = ask();
    await settle();
    await clock.advance(900);
    const refused = await Promise.race([asking, settle().then(() => 'still waits')]);
    expect(refused).toMatchObject({ code: 'credential_expired' });
    expect((refused as EgressError).retryAfterMs).toBeGreaterThan(0);
    expect(clock.monotonicMs() - from).toBeLessThan(1_000);
    await faults.set('none');
    const back = clock.monotonicMs();
    let generation = await ask();
    while (typeof generation !== 'number' && clock.monotonicMs() - back < 10_000) {
      await clock.advance(500);
      await settle();
      const later = ask();
      await settle();
      await clock.advance(1);
      generation = await later;
    }
    expect(generation).toBe(2);
    expect(clock.monotonicMs() - back).toBeLessThan(5_000);
  });
});

it('a Vault that is sealed is one that is away', async () => {
  expect(await ask()).toBe(1);
  vault.seal();
  await clock.advance(40 * MINUTE);
  expect(await ask()).toBe(1);
  expect(await ask('other')).toMatchObject({ code: 'credential_unavailable' });
  vault.unseal();
  await clock.advance(2_000);
  expect(await ask('other')).toBe(1);
});

it('a role that was removed ends the lease at the next word with Vault, and nothing more is asked for a minute', async () => {
  expect(await ask()).toBe(1);
  const remove = { method: 'DELETE', headers: { 'x-vault-token': vault.rootToken } };
  expect((await fetch(`${vault.address}/v1/auth/jwt/role/agents`, remove)).status).toBe(204);
  // Two thirds of the usable time, and not the deadline of the call that begins then.
  await clock.advance(2_155_000);
  await settle();
  for (let i = 0; i < 10; i++) expect(await ask()).toMatchObject({ code: 'credential_denied' });
  expect(events.filter(({ kind }) => kind === 'failed')).toHaveLength(1);
  await settle();
  expect(vault.liveLeases()).toEqual([]);
});
