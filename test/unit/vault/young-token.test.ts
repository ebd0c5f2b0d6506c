import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { openVaultClient, type VaultClient, type VaultToken } from '../../../src/vault/client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeVault, leased, tokenAuth } from '../../fakes/fake-vault.ts';

const GET = { method: 'GET', parameters: {} } as const;
const signal = (): AbortSignal => AbortSignal.timeout(5000);
let vault: FakeVault;
let client: VaultClient;
let clock: FakeClock;
let pauses: number[];

beforeEach(async () => {
  vault = await FakeVault.open();
  clock = new FakeClock();
  pauses = [];
  const pause = async (ms: number): Promise<void> => void pauses.push(ms);
  client = openVaultClient({ address: vault.address, namespace: null, clock, pause });
});
afterEach(async () => {
  await client.close();
  await vault.close();
});

const login = (): Promise<VaultToken> =>
  client.login('jwt', { role: 'agents', jwt: Secret.copyOf(Buffer.from('a.b.c')) }, signal());

/** A token that worked once, `ageMs` ago, and is refused then, once. */
async function used(ageMs: number): Promise<VaultToken> {
  vault.login().on('p', { json: leased({}) }, { status: 403 }, { json: leased({}) });
  const token = await login();
  await client.read(token, 'p', GET, signal());
  await clock.advance(ageMs);
  return token;
}

it('a token of some seconds that is refused is asked about again after a moment, although it has worked', async () => {
  await client.read(await used(4_900), 'p', GET, signal());
  expect(vault.callsTo('p')).toHaveLength(3);
  expect(pauses).toEqual([150]);
});

it('an older one is meant', async () => {
  const token = await used(5_100);
  await expect(client.read(token, 'p', GET, signal())).rejects.toMatchObject({ code: 'credential_denied' });
  expect(vault.callsTo('p')).toHaveLength(2);
  expect(pauses).toEqual([]);
});

it('a refusal that stays is believed after the second', async () => {
  vault.login().on('p', { status: 403 });
  await expect(client.read(await login(), 'p', GET, signal())).rejects.toMatchObject({
    ...{ code: 'credential_denied', retryAfterMs: null },
  });
  expect(vault.callsTo('p')).toHaveLength(2);
});

it('the state of the login goes with the next read, and with the try after a 412', async () => {
  vault.on('auth/jwt/login', { json: { auth: tokenAuth() }, headers: { 'x-vault-index': 'c3RhdGU=' } });
  vault.on('p', { status: 412 }, { json: leased({}) });
  await client.read(await login(), 'p', GET, signal());
  expect(vault.callsTo('p').map(({ headers }) => [headers['x-vault-index'], headers['x-vault-inconsistent']])).toEqual(
    Array(2).fill(['c3RhdGU=', 'forward-active-node']),
  );
});
