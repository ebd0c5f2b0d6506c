import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../../src/core/clock.ts';
import type { EgressError } from '../../../../src/core/errors.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { VaultSourceOptions } from '../../../../src/credential/options.ts';
import type { CredentialSource, Grant } from '../../../../src/credential/source.ts';
import { openVaultClient, type VaultClient } from '../../../../src/vault/client.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeVault, leased } from '../../../fakes/fake-vault.ts';
import { vaultSource } from '../../../fakes/vault-source.ts';
import { CANARY, workload } from '../permits.ts';

const PATH = 'openai/creds/agents';
let vault: FakeVault;
let client: VaultClient;
let clock: Clock;
const signal = (): AbortSignal => AbortSignal.timeout(5000);

beforeEach(async () => {
  vault = await FakeVault.open();
  vault.login().on('auth/token/revoke-self', { status: 204 });
  client = openVaultClient({ address: vault.address, namespace: null, timeoutMs: 1000 });
  clock = new FakeClock();
});
afterEach(async () => {
  await client.close();
  await vault.close();
});

function sourceOf(options: Partial<VaultSourceOptions> = {}, form: 'parts' | 'document' = 'parts'): CredentialSource {
  return vaultSource(
    {
      kind: 'vault',
      name: 'vault',
      address: vault.address,
      namespace: null,
      caFile: null,
      auth: { kind: 'jwt', mount: 'jwt', role: 'agents', audience: ['vault'] },
      path: PATH,
      method: 'GET',
      parameters: {},
      fields: null,
      ...options,
    },
    {
      ...{ client, clock, form },
      mintToken: async (caller, audience) => Secret.copyOf(Buffer.from(`jwt-of-${caller.name}-for-${audience.join()}`)),
    },
  );
}

const shown = (grant: Grant): Record<string, string> =>
  Object.fromEntries([...grant.parts].map(([part, secret]) => [part, secret.reveal().toString()]));
const ttlOf = (grant: Grant): number => grant.expiresAtMonotonicMs - clock.monotonicMs();

async function failure(promise: Promise<unknown>): Promise<EgressError> {
  const error = await promise.then(
    () => expect.fail('did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/canary|hvs\.|jwt-of|openai\/creds/);
  return error as EgressError;
}

describe('fetch', () => {
  it('logs in as the workload, reads, and gives a grant', async () => {
    vault.on(PATH, { json: leased({ api_key: CANARY, api_key_id: 'k', service_account: 'sa' }) });
    const grant = await sourceOf().fetch(workload(), signal());
    expect(JSON.parse(vault.calls[0]?.body ?? '')).toEqual({ role: 'agents', jwt: 'jwt-of-agent-for-vault' });
    expect(shown(grant)).toEqual({ key: CANARY });
    expect(grant).toMatchObject({ leaseId: `${PATH}/0123456789abcdef`, renewable: false });
    expect(ttlOf(grant)).toBe(3_600_000);
    expect(inspect(grant, { depth: 9, showHidden: true })).not.toContain(CANARY);
  });

  it.each([
    ['the lease, where the token lives longer', 600, 3600, 600],
    ['the token, where the lease lives longer', 3600, 300, 300],
    ['the lease, where the token does not end', 600, 0, 600],
    ['a day, where both are absurd', 2 ** 39, 2 ** 39, 86_400],
  ])('counts to the end of %s', async (_name, lease, token, seconds) => {
    vault.login({ lease_duration: token }).on(PATH, { json: leased({ api_key: CANARY }, { lease_duration: lease }) });
    expect(ttlOf(await sourceOf().fetch(workload(), signal()))).toBe(seconds * 1000);
  });

  it.each([
    ['a key-value secret is read again after 5 min', { lease_id: '', lease_duration: 2_764_800 }, {}, 300],
    ['a key-value secret with a shorter hint', { lease_id: '', lease_duration: 60 }, {}, 60],
    ['STS keys without a lease live as the data says', { lease_id: '', lease_duration: 0 }, { ttl: 900 }, 900],
    ['a ttl of nonsense is not believed', { lease_id: '', lease_duration: 0 }, { ttl: -5 }, 300],
  ])('%s', async (_name, more, data, seconds) => {
    vault.on(PATH, { json: leased({ api_key: CANARY, ...data }, more) });
    expect(ttlOf(await sourceOf().fetch(workload(), signal()))).toBe(seconds * 1000);
  });

  it.each([
    ['no length', { lease_duration: 0 }],
    ['a negative length', { lease_duration: -60 }],
  ])('refuses a lease of %s, and ends what it made', async (_name, more) => {
    vault.on(PATH, { json: leased({ api_key: CANARY }, more) });
    expect((await failure(sourceOf().fetch(workload(), signal()))).code).toBe('credential_invalid');
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });

  it('ends the token where the read fails', async () => {
    vault.on(PATH, { status: 500 });
    expect((await failure(sourceOf().fetch(workload(), signal()))).code).toBe('credential_unavailable');
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });

  it('says which setting to change where tokens have one use', async () => {
    vault.login({ num_uses: 1 }).on(PATH, { status: 500 });
    expect((await failure(sourceOf().fetch(workload(), signal()))).detail).toContain('token_num_uses');
    expect(vault.callsTo('auth/token/revoke-self')).toEqual([]);
  });
});

describe('the answer as a document', () => {
  it.each([
    ['of an engine', `{ "api_key": "${CANARY}\\u0041", "n" : 1.50 }`],
    ['of KV 2, with its metadata', `{"data":{"a":"${CANARY}","b":"c"},"metadata":{"version":3}}`],
    ['of which no field is clear', `{"one":"${CANARY}","two":"x"}`],
  ])('is to the byte what was sent: %s', async (_what, data) => {
    const raw = `{"lease_id":"${PATH}/1","lease_duration":60,"renewable":false,"data":${data},"auth":null}`;
    vault.on(PATH, { raw });
    const grant = await sourceOf({}, 'document').fetch(workload(), signal());
    expect(shown(grant)).toEqual({ document: data });
    expect(ttlOf(grant)).toBe(60_000);
    expect(inspect(grant, { depth: 9, showHidden: true })).not.toContain(CANARY);
  });

  it('is not given where there is none, and the token is ended', async () => {
    for (const raw of ['{"data":null}', '{"data":[1]}', '{"lease_id":"x"}', '{"data":{"a":"canary"}']) {
      vault.on(PATH, { raw });
      expect((await failure(sourceOf({}, 'document').fetch(workload(), signal()))).code).toBe('credential_invalid');
    }
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(4);
  });
});

describe('revoke and renew', () => {
  it('revokes the token, and the lease with it, within two uses', async () => {
    vault.login({ num_uses: 2 }).on(PATH, { json: leased({ api_key: CANARY }, { renewable: true }) });
    const grant = await sourceOf().fetch(workload(), signal());
    expect(grant.renewable).toBe(false);
    await grant.revoke(signal());
    expect(vault.calls.map((call) => call.path)).toEqual([
      '/v1/auth/jwt/login',
      `/v1/${PATH}`,
      '/v1/auth/token/revoke-self',
    ]);
    expect((await failure(grant.revoke(signal()))).code).toBe('secret_destroyed');
  });

  it('revokes the lease of a batch token, which cannot be revoked', async () => {
    vault
      .login({ token_type: 'batch', accessor: '', renewable: false })
      .on(PATH, { json: leased({ api_key: CANARY }) })
      .on('sys/leases/revoke', { status: 204 });
    const grant = await sourceOf().fetch(workload(), signal());
    expect(grant.accessor).toBeNull();
    await grant.revoke(signal());
    expect(JSON.parse(vault.callsTo('sys/leases/revoke')[0]?.body ?? '')).toEqual({
      lease_id: grant.leaseId,
      sync: true,
    });
  });

  it('destroys the token although revoking failed', async () => {
    vault.on(PATH, { json: leased({ api_key: CANARY }) }).on('auth/token/revoke-self', { status: 503 });
    const grant = await sourceOf().fetch(workload(), signal());
    expect((await failure(grant.revoke(signal()))).code).toBe('credential_unavailable');
    expect((await failure(grant.revoke(signal()))).code).toBe('secret_destroyed');
  });

  it('renews the token before the lease and counts to the end of the shorter', async () => {
    vault
      .on(PATH, { json: leased({ api_key: CANARY }, { renewable: true, lease_duration: 600 }) })
      .on('auth/token/renew-self', { json: { auth: { lease_duration: 300, renewable: true } } })
      .on('sys/leases/renew', { json: { lease_id: 'x', lease_duration: 600, renewable: true } });
    const grant = await sourceOf().fetch(workload(), signal());
    expect(grant.renewable).toBe(true);
    expect((await grant.renew?.(signal())) ?? 0).toBe(clock.monotonicMs() + 300_000);
    expect(vault.calls.slice(2).map((call) => call.path)).toEqual([
      '/v1/auth/token/renew-self',
      '/v1/sys/leases/renew',
    ]);
    expect(JSON.parse(vault.calls[3]?.body ?? '')).toEqual({ lease_id: grant.leaseId, increment: 600 });
  });
});

describe('fields', () => {
  const aws = { access_key: 'AKIA1', secret_key: 'wJalr' };
  const version2 = { metadata: { version: 1 } };
  it.each([
    ['openai', { api_key: 'a', service_account: 'b' }, { key: 'a' }],
    [
      'aws with session_token',
      { ...aws, session_token: 't', security_token: 'old' },
      { accessKeyId: 'AKIA1', secretAccessKey: 'wJalr', sessionToken: 't' },
    ],
    [
      'aws with security_token',
      { ...aws, security_token: 't' },
      { accessKeyId: 'AKIA1', secretAccessKey: 'wJalr', sessionToken: 't' },
    ],
    ['aws of an IAM user', { ...aws, security_token: null }, { accessKeyId: 'AKIA1', secretAccessKey: 'wJalr' }],
    ['username and password', { username: 'u', password: 'p' }, { username: 'u', password: 'p' }],
    ['kv 2', { data: { api_key: 'a' }, ...version2 }, { key: 'a' }],
    ['kv 2 with one string', { data: { token: 'a', n: 1 }, ...version2 }, { key: 'a' }],
    ['kv 1 with one string', { whatever: 'a', n: 1, list: ['b'] }, { key: 'a' }],
  ])('are found by the shape of %s', async (_name, data, parts) => {
    vault.on(PATH, { json: leased(data) });
    expect(shown(await sourceOf().fetch(workload(), signal()))).toEqual(parts);
  });

  it('are taken as configured', async () => {
    vault.on(PATH, { json: leased({ a: '1', b: '2', c: '3' }) });
    expect(shown(await sourceOf({ fields: { username: 'b', password: 'c' } }).fetch(workload(), signal()))).toEqual({
      username: '2',
      password: '3',
    });
  });

  it.each([
    ['several strings of no known shape', { one: CANARY, two: CANARY }, null, /one, two/],
    ['no string', { n: 1 }, null, /the fields n/],
    ['nothing', {}, null, /no fields/],
    ['half of an AWS key, and more', { access_key: CANARY, other: CANARY }, null, /access_key, other/],
    ['a missing configured field', { one: CANARY }, { key: 'two' }, /the fields one/],
    ['a configured field that is no string', { one: 1 }, { key: 'one' }, /not a string/],
    ['an unknown part', { one: CANARY }, { token: 'one' }, /unknown part/],
    ['one field for two parts', { one: CANARY }, { username: 'one', password: 'one' }, /one field for two parts/],
    ['an unprintable name', { [`evil\n${'x'.repeat(99)}`]: CANARY, b: CANARY }, null, /\(unprintable\), b/],
    ['an empty value', { api_key: '', only: 1 }, { key: 'api_key' }, /empty/],
    ['a line feed', { api_key: `${CANARY}\n` }, null, /control character/],
    ['CR and LF inside', { api_key: `${CANARY}\r\nx-evil: 1` }, null, /control character/],
    ['a deleted kv 2 version', { data: null, metadata: { version: 1 } }, null, /deleted/],
    ['more than a header field holds', { api_key: CANARY.repeat(1000) }, null, /too long/],
  ])('are refused for %s', async (_name, data, fields, detail) => {
    vault.on(PATH, { json: leased(data) });
    const error = await failure(sourceOf({ fields }).fetch(workload(), signal()));
    expect(error.code).toBe('credential_invalid');
    expect(error.detail).toMatch(detail);
    expect(vault.callsTo('auth/token/revoke-self')).toHaveLength(1);
  });
});

describe('templates', () => {
  it('put the names of the workload into role and path', async () => {
    vault.on('kv/data/agent/i-1', { json: leased({ api_key: CANARY }) });
    const auth = { kind: 'jwt', mount: 'jwt', role: 'role-{{ workload.id }}', audience: ['vault'] } as const;
    await sourceOf({ path: 'kv/data/{{workload.id}}/{{workload.instance}}', auth }).fetch(
      workload('agent', 'i-1'),
      signal(),
    );
    expect(JSON.parse(vault.calls[0]?.body ?? '').role).toBe('role-agent');
  });

  it('keep a value within its segment', async () => {
    vault.on('kv/data/team%252Fagent/x', { json: leased({ api_key: CANARY }) });
    await sourceOf({ path: 'kv/data/{{workload.id}}/x' }).fetch(workload('team/agent'), signal());
    await failure(sourceOf({ path: 'kv/{{workload.spiffeId}}' }).fetch(workload(), signal()));
    expect(vault.calls.at(-2)?.path).toBe('/v1/kv/spiffe%253A%252F%252Fexample.org%252Fagent');
  });

  it.each(['kv/{{workload.instance}}', 'kv/{{workload.secret}}', 'kv/{{workload.id', 'kv/..', 'kv//a'])(
    'refuse %s without a call',
    async (path) => {
      expect((await failure(sourceOf({ path }).fetch(workload(), signal()))).code).toBe('credential_invalid');
      expect(vault.calls).toEqual([]);
    },
  );
});
