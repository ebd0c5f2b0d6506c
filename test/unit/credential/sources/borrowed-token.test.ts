import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../../../src/vault/client.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeVault, leased } from '../../../fakes/fake-vault.ts';
import { vaultSource } from '../../../fakes/vault-source.ts';
import { CANARY, workload } from '../permits.ts';

const LONG_AGO = new Date('2020-01-01T00:00:00Z');
const PATH = 'openai/creds/agents';
const signal = (): AbortSignal => AbortSignal.timeout(5000);
let folder: string;
let vault: FakeVault;
let client: VaultClient;
let clock: FakeClock;
let written = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'borrowed-token-'));
  vault = await FakeVault.open();
  client = openVaultClient({ address: vault.address, namespace: null });
  clock = new FakeClock();
  put('hvs.sink-1');
  vault
    .on('auth/token/lookup-self', { json: { data: { ttl: 600, renewable: true, num_uses: 0, type: 'service' } } })
    .on(PATH, { json: leased({ api_key: CANARY }) })
    .on('sys/leases/revoke', { status: 204 });
});
afterEach(async () => {
  await client.close();
  await vault.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Written long ago, so that it is believed at once; each time another version. */
function put(token: string): void {
  const path = join(folder, 'sink');
  rmSync(path, { force: true });
  writeFileSync(path, token);
  chmodSync(path, 0o400);
  utimesSync(path, LONG_AGO, new Date(LONG_AGO.getTime() + 1000 * ++written));
}

const fetched = (): Promise<Grant> =>
  vaultSource(
    {
      ...{ kind: 'vault', name: 'vault', address: vault.address, namespace: null, caFile: null },
      auth: { kind: 'tokenFile', file: { kind: 'file', path: join(folder, 'sink'), isGroupReadable: false } },
      ...{ path: PATH, method: 'GET', parameters: {}, fields: null },
    },
    { client, clock, mintToken: () => Promise.reject(new Error('nothing is minted')) },
  ).fetch(workload(), signal());

const tokensOf = (path: string): unknown[] => vault.callsTo(path).map(({ headers }) => headers['x-vault-token']);
const ttlOf = (grant: Grant): number => grant.expiresAtMonotonicMs - clock.monotonicMs();

describe('the end of a borrowed token', () => {
  it('is that of the grant where it may be looked up', async () => {
    expect(ttlOf(await fetched())).toBe(600_000);
  });

  it('is not known where the token may not look, and the lease’s own counts', async () => {
    vault.on('auth/token/lookup-self', { status: 403 });
    expect(ttlOf(await fetched())).toBe(3_600_000);
  });

  it('comes later where its owner renews it, and no later where there is another one', async () => {
    vault.on(PATH, { json: leased({ api_key: CANARY }, { renewable: true, lease_duration: 300 }) });
    vault.on('sys/leases/renew', { json: { lease_id: 'x', lease_duration: 3600, renewable: true } });
    const grant = await fetched();
    await clock.advance(60_000);
    expect(await grant.renew?.(signal())).toBe(clock.monotonicMs() + 600_000);
    put('hvs.sink-2');
    await clock.advance(60_000);
    expect(await grant.renew?.(signal())).toBe(clock.monotonicMs() + 540_000);
    expect(tokensOf('sys/leases/renew')).toEqual(['hvs.sink-1', 'hvs.sink-2']);
    expect(vault.callsTo('auth/token/renew-self')).toEqual([]);
  });
});

describe('the lease of a borrowed token', () => {
  it('is revoked with the token of that moment, which lives on', async () => {
    const grant = await fetched();
    put('hvs.sink-2');
    await grant.revoke(signal());
    expect(tokensOf('sys/leases/revoke')).toEqual(['hvs.sink-2']);
    expect(vault.callsTo('auth/token/revoke-self')).toEqual([]);
  });

  it('is revoked too where what was read cannot be used', async () => {
    vault.on(PATH, { json: leased({ api_key: `${CANARY}\n` }) });
    await expect(fetched()).rejects.toMatchObject({ code: 'credential_invalid' });
    expect(tokensOf('sys/leases/revoke')).toEqual(['hvs.sink-1']);
  });

  it('is not made twice where the connection broke, since nobody would know of the first', async () => {
    vault.on(PATH, (response) => response.destroy(), { json: leased({ api_key: CANARY }) });
    await expect(fetched()).rejects.toMatchObject({ code: 'credential_unavailable' });
    expect(vault.callsTo(PATH)).toHaveLength(1);
  });
});

describe('a borrowed token that is refused', () => {
  it('is read again, and the one that is there by then is used', async () => {
    vault.on(PATH, (response) => {
      put('hvs.sink-2');
      vault.on(PATH, { status: 403 }, { json: leased({ api_key: CANARY }) });
      response.writeHead(403).end();
    });
    await fetched();
    expect(tokensOf(PATH)).toEqual(['hvs.sink-1', 'hvs.sink-1', 'hvs.sink-2']);
  });

  it('stays refused where it is the same', async () => {
    vault.on(PATH, { status: 403 });
    await expect(fetched()).rejects.toMatchObject({ code: 'credential_denied', retryAfterMs: null });
    expect(tokensOf(PATH)).toEqual(['hvs.sink-1', 'hvs.sink-1']);
    expect(vault.callsTo('auth/token/revoke-self')).toEqual([]);
  });
});
