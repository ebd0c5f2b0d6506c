import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import type { CredentialSourceOptions, VaultSourceOptions } from '../../../../src/credential/options.ts';
import { SourceDirectory } from '../../../../src/credential/sources/directory.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { createCredentialStage } from '../../../../src/credential/stage.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeVault, leased } from '../../../fakes/fake-vault.ts';
import { CANARY, permit, workload } from '../permits.ts';

let vault: FakeVault;
let documents: readonly CredentialSourceOptions[];
const clock = new FakeClock();

beforeEach(async () => {
  vault = await FakeVault.open();
  vault
    .login()
    .on('openai/creds/agents', { json: leased({ api_key: CANARY }) })
    .on('auth/token/revoke-self', { status: 204 });
  documents = [document()];
});
afterEach(() => vault.close());

const document = (more: Partial<VaultSourceOptions> = {}): VaultSourceOptions => ({
  kind: 'vault',
  name: 'vault',
  address: 'sandbox',
  namespace: null,
  caFile: null,
  auth: { kind: 'jwt', mount: 'jwt', role: 'agents', audience: ['vault'] },
  path: 'openai/creds/agents',
  method: 'GET',
  parameters: {},
  fields: null,
  ...more,
});

const directory = (sandboxVaultAddress: string | null = vault.address): SourceDirectory =>
  new SourceDirectory({
    sources: () => documents,
    clock,
    ownUid: 0,
    stateDirectory: '/nonexistent',
    variables: new Variables(() => null),
    changed: () => {},
    sandboxVaultAddress,
    mintToken: async () => Secret.copyOf(Buffer.from('jwt')),
  });

describe('the directory', () => {
  it('keeps a source through a reload that leaves its document as it is', () => {
    const sources = directory();
    const before = sources.find('vault');
    documents = [document({ name: 'new' }), document()];
    expect(sources.find('vault')).toBe(before);
    const whole = sources.find('vault', 'document');
    expect(whole).not.toBe(before);
    expect(sources.find('vault', 'document')).toBe(whole);
    documents = [document({ path: 'openai/creds/other' })];
    expect(sources.find('vault')).not.toBe(before);
    expect(sources.find('vault', 'document')).not.toBe(whole);
    documents = [];
    expect(() => sources.find('vault')).toThrow(/credential_invalid/);
  });

  it('refuses the sandbox where there is none, and roots that cannot be read', () => {
    expect(() => directory(null).find('vault')).toThrow(/configuration_invalid/);
    documents = [document({ caFile: '/nowhere/roots.pem' })];
    expect(() => directory().find('vault')).toThrow(/configuration_invalid/);
  });

  it('reads the roots from their file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'roots-'));
    writeFileSync(join(folder, 'roots.pem'), '');
    documents = [document({ caFile: join(folder, 'roots.pem') })];
    const sources = directory();
    expect(sources.find('vault').name).toBe('vault');
    await sources.close();
    rmSync(folder, { recursive: true });
  });
});

describe('the whole stage over a Vault', () => {
  const stageOf = () =>
    createCredentialStage({
      sources: () => documents,
      clock,
      ownUid: 0,
      stateDirectory: '/nonexistent',
      variables: new Variables(() => null),
      sandboxVaultAddress: vault.address,
      mintToken: async () => Secret.copyOf(Buffer.from('jwt')),
      random: () => 0.5,
    });

  it('logs in once and reads once for 1,000 first requests, and leaves nothing at the end', async () => {
    const stage = stageOf();
    const signal = new AbortController().signal;
    const credentials = await Promise.all(Array.from({ length: 1000 }, () => stage.obtain(permit(), signal)));
    expect(credentials[0]?.parts.get('key')?.reveal().toString()).toBe(CANARY);
    expect(vault.calls.map((call) => call.path)).toEqual(['/v1/auth/jwt/login', '/v1/openai/creds/agents']);
    expect(await stage.close(1000)).toEqual({ revoked: 1, failed: 0 });
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });

  it('asks at most 50 calls at once for 200 workloads of one moment, and revokes all of them', async () => {
    vault.delayMs = 5;
    const stage = stageOf();
    const signal = new AbortController().signal;
    await Promise.all(Array.from({ length: 200 }, (_, i) => stage.obtain(permit(workload(`agent-${i}`)), signal)));
    expect(await stage.close(5000)).toEqual({ revoked: 200, failed: 0 });
    expect(vault.maxConcurrent).toBeLessThanOrEqual(50);
  });

  it('ends the token of a login whose read was cut by the end of the process', async () => {
    vault.on('openai/creds/agents', () => {});
    const stage = stageOf();
    const waiting = stage.obtain(permit(), new AbortController().signal).catch((thrown: unknown) => thrown);
    while (vault.callsTo('openai/creds/agents').length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await stage.close(2000);
    await waiting;
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });
});
