import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import type { CredentialStage } from '../../../../src/credential/credential.ts';
import { createStageOver } from '../../../../src/credential/stage.ts';
import { openVaultClient, type VaultClient } from '../../../../src/vault/client.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeVault, leased, tokenAuth } from '../../../fakes/fake-vault.ts';
import { vaultSource } from '../../../fakes/vault-source.ts';
import { CANARY, permit, workload } from '../permits.ts';

const MINUTE = 60_000;
const PATH = 'openai/creds/agents';
const never = new AbortController().signal;
let vault: FakeVault;
let client: VaultClient;
let clock: FakeClock;
let stage: CredentialStage;

beforeEach(async () => {
  vault = await FakeVault.open();
  vault
    .on('auth/kubernetes/login', { json: { auth: tokenAuth() } })
    .on(PATH, { json: leased({ api_key: CANARY }) })
    .on('auth/token/revoke-self', { status: 204 });
  client = openVaultClient({ address: vault.address, namespace: null });
  clock = new FakeClock();
  const source = vaultSource(
    {
      ...{ kind: 'vault', name: 'vault', address: vault.address, namespace: null, caFile: null },
      ...{ auth: { kind: 'forwarded', mount: 'kubernetes', role: 'agents' } },
      ...{ path: PATH, method: 'GET', parameters: {}, fields: null },
    },
    { client, clock, mintToken: () => Promise.reject(new Error('nothing is minted')) },
  );
  stage = createStageOver({ find: () => source, close: async () => {} }, { clock, random: () => 0.5 });
});
afterEach(async () => {
  await stage.close(1_000);
  await client.close();
  await vault.close();
});

const showing = (presented: Secret, provenUntil: number) =>
  permit({ ...workload(), presented, provenUntil }, 'openai', 'vault', false);
const secret = (text: string): Secret => Secret.copyOf(Buffer.from(text));
const logins = (): string[] =>
  vault.callsTo('auth/kubernetes/login').map(({ body }) => (JSON.parse(body) as { jwt: string }).jwt);

it('a token that has ended is not sent, and what it got before is served on until the next one comes', async () => {
  const [first, second] = [secret('first'), secret('second')];
  const now = clock.now();
  const credential = await stage.obtain(showing(first, now + 5 * MINUTE), never);
  if (credential !== null) stage.release(credential);
  first.destroy();
  // The replacement is due, and there is nothing to log in with.
  await clock.advance(41 * MINUTE);
  expect(stage.standings()[0]?.error?.detail).toContain('has ended');
  expect(stage.list()).toMatchObject([{ state: 'current' }]);
  const later = await stage.obtain(showing(second, now + 60 * MINUTE), never);
  if (later !== null) stage.release(later);
  await clock.advance(MINUTE);
  await expect.poll(logins, { interval: 5 }).toEqual(['first', 'second']);
  expect(first.isDestroyed).toBe(true);
  expect(second.isDestroyed).toBe(false);
});
