/** Duty: what the engine makes of what Vault says to a renewal: cache, source and client of the product over HTTP, time that is told. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import type { CredentialStage } from '../../../src/credential/credential.ts';
import { createCredentialStage, type LeaseEvent } from '../../../src/credential/stage.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeVault, leased } from '../../fakes/fake-vault.ts';
import { VAULT_ALONE } from './lease-world.ts';
import { CANARY, permit } from './permits.ts';

const never = new AbortController().signal;
const PATH = 'openai/creds/agents';
/** Two thirds of the usable part of an hour. */
const RENEW_AT_MS = 2_155_000;
let vault: FakeVault;
let clock: FakeClock;
let stage: CredentialStage;
let events: LeaseEvent[];

beforeEach(async () => {
  vault = await FakeVault.open();
  clock = new FakeClock();
  events = [];
  const lease = leased({ api_key: CANARY }, { renewable: true, lease_duration: 3_600 });
  vault
    .login({ lease_duration: 3_600, renewable: true })
    .on(PATH, { json: lease })
    .on('auth/token/renew-self', { json: { auth: { lease_duration: 3_600, renewable: true } } })
    .on('sys/leases/renew', { json: { lease_id: 'x', lease_duration: 3_600, renewable: true } })
    .on('auth/token/revoke-self', { status: 204 });
  stage = createCredentialStage({
    ...VAULT_ALONE,
    sources: () => [
      {
        ...{ kind: 'vault', name: 'vault', address: vault.address, namespace: null, caFile: null, method: 'GET' },
        ...{ parameters: {}, fields: null, path: PATH },
        auth: { kind: 'jwt', mount: 'jwt', role: 'agents', audience: ['vault'] },
      },
    ],
    ...{ clock, random: () => 0.5, sandboxVaultAddress: null },
    mintToken: async () => Secret.copyOf(Buffer.from('jwt')),
    observe: (event) => events.push(event),
  });
});
afterEach(async () => {
  await stage.close(1_000);
  await vault.close();
});

async function use(): Promise<number> {
  const credential = await stage.obtain(permit(), never);
  if (credential === null) throw new Error('no credential');
  stage.release(credential);
  return credential.generation;
}

async function untilRenewal(): Promise<void> {
  expect(await use()).toBe(1);
  await clock.advance(RENEW_AT_MS);
  await expect.poll(() => events.length, { interval: 5 }).toBeGreaterThan(1);
}

const calls = (): string[] => vault.calls.map(({ path }) => path.slice('/v1/'.length));
const AGAIN = ['auth/jwt/login', PATH];

describe('a renewal', () => {
  it('extends what can be extended', async () => {
    await untilRenewal();
    expect(events.map(({ kind }) => kind)).toEqual(['obtained', 'renewed']);
    expect(await use()).toBe(1);
    expect(calls()).toEqual([...AGAIN, 'auth/token/renew-self', 'sys/leases/renew']);
    expect(stage.list()[0]?.remainingMs).toBeGreaterThan(3_599_000);
  });

  it.each([
    ['of the lease is refused with 403', 'sys/leases/renew', { status: 403, json: { errors: ['permission denied'] } }],
    ['of the token is refused with 403', 'auth/token/renew-self', { status: 403, json: { errors: ['bad token'] } }],
    ['of the lease is refused with 400', 'sys/leases/renew', { status: 400, json: { errors: ['lease not found'] } }],
    ['shrinks', 'sys/leases/renew', { json: { lease_id: 'x', lease_duration: 60, renewable: true } }],
    ['shrinks to 0', 'sys/leases/renew', { json: { lease_id: 'x', lease_duration: 0, renewable: true } }],
    ['of the token shrinks to 0', 'auth/token/renew-self', { json: { auth: { lease_duration: 0, renewable: true } } }],
    ['is negative', 'sys/leases/renew', { json: { lease_id: 'x', lease_duration: -60, renewable: true } }],
    ['is no number', 'sys/leases/renew', { json: { lease_id: 'x', lease_duration: 'long', renewable: true } }],
  ])('that %s ends in another login and another read, and the old lease is revoked', async (_name, path, script) => {
    vault.on(path, script);
    await untilRenewal();
    expect(await use()).toBe(2);
    expect(calls().slice(0, 2)).toEqual(AGAIN);
    const after = calls().slice(calls().indexOf(path) + 1);
    expect(after.slice(after.indexOf('auth/jwt/login')).slice(0, 2)).toEqual(AGAIN);
    await expect.poll(() => vault.callsTo('auth/token/revoke-self').length, { interval: 5 }).toBe(1);
    // The answer to the revocation is still on its way.
    await expect
      .poll(() => stage.list(), { interval: 5 })
      .toMatchObject([{ generation: 2, state: 'current', remainingMs: 3_600_000 }]);
  });

  it('beyond what a timer can wait for is believed for a day, and waited for', async () => {
    vault
      .on('auth/token/renew-self', { json: { auth: { lease_duration: 2 ** 31, renewable: true } } })
      .on('sys/leases/renew', { json: { lease_id: 'x', lease_duration: 2 ** 31, renewable: true } });
    await untilRenewal();
    expect(await use()).toBe(1);
    expect(stage.list()[0]?.remainingMs).toBeGreaterThan(24 * 3_600_000 - 1_000);
    await clock.advance(60_000);
    expect(events).toHaveLength(2);
  });

  it('after which the role is gone too ends the lease at once', async () => {
    expect(await use()).toBe(1);
    vault
      .on('sys/leases/renew', { status: 403, json: { errors: ['permission denied'] } })
      .on('auth/jwt/login', { status: 400, json: { errors: ['role could not be found'] } });
    await clock.advance(RENEW_AT_MS);
    await expect.poll(() => events.length, { interval: 5 }).toBeGreaterThan(1);
    await expect(use()).rejects.toMatchObject({ code: 'credential_denied' });
    await expect.poll(() => stage.list(), { interval: 5 }).toEqual([]);
  });

  it.each([0, -1, -(2 ** 40)])('is not waited for where the lease itself is of %i seconds', async (seconds) => {
    vault.on(PATH, { json: leased({ api_key: CANARY }, { renewable: true, lease_duration: seconds }) });
    await expect(use()).rejects.toMatchObject({ code: 'credential_invalid' });
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });
});
