import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { EgressError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { SandboxAuthority } from '../../../src/sandbox/upstreams/certificates.ts';
import {
  openVaultClient,
  type VaultClient,
  type VaultClientOptions,
  type VaultToken,
} from '../../../src/vault/client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeVault, leased, tokenAuth } from '../../fakes/fake-vault.ts';

const CANARY = 'sk-canary-4242424242424242';
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function fixture(options: Partial<VaultClientOptions> = {}): Promise<{ vault: FakeVault; client: VaultClient }> {
  const vault = await FakeVault.open();
  const client = openVaultClient({ address: vault.address, namespace: null, timeoutMs: 1000, ...options });
  closers.push(
    () => vault.close(),
    () => client.close(),
  );
  return { vault, client };
}

const signal = (): AbortSignal => AbortSignal.timeout(5000);
const GET = { method: 'GET', parameters: {} } as const;
const proof = { role: 'agents', jwt: Secret.copyOf(Buffer.from('header.payload.signature')) };
const tokenOf = (more: Partial<VaultToken> = {}): VaultToken => ({
  token: Secret.copyOf(Buffer.from('hvs.abc')),
  accessor: 'acc',
  leaseDurationMs: 60_000,
  renewable: true,
  numUses: 0,
  kind: 'service',
  policies: [],
  index: null,
  ...more,
});

async function failure(promise: Promise<unknown>): Promise<EgressError> {
  const error = (await promise.then(
    () => expect.fail('did not fail'),
    (thrown: unknown) => thrown,
  )) as EgressError;
  expect(error.name).toBe('EgressError');
  expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/canary|hvs\.|header\.payload|openai\/creds/);
  return error;
}

describe('login', () => {
  it('sends role and token and gives the Vault token as a secret', async () => {
    const { vault, client } = await fixture({ namespace: 'team-a' });
    vault.on('auth/jwt/login', {
      json: { auth: tokenAuth({ client_token: 'hvs.one', num_uses: 2, accessor: 'acc-1' }) },
      headers: { 'x-vault-index': 'aW5kZXg=' },
    });
    const token = await client.login('jwt', proof, signal());
    expect(token.token.reveal().toString()).toBe('hvs.one');
    expect(token).toMatchObject({
      accessor: 'acc-1',
      leaseDurationMs: 3_600_000,
      renewable: true,
      numUses: 2,
      kind: 'service',
      policies: ['default', 'agents'],
      index: 'aW5kZXg=',
    });
    expect(vault.calls[0]).toMatchObject({ method: 'POST', path: '/v1/auth/jwt/login' });
    expect(JSON.parse(vault.calls[0]?.body ?? '')).toEqual({ role: 'agents', jwt: 'header.payload.signature' });
    expect(vault.calls[0]?.headers).toMatchObject({
      'x-vault-request': 'true',
      'x-vault-namespace': 'team-a',
      'accept-encoding': 'identity',
    });
    expect(inspect(token)).not.toContain('hvs.one');
  });

  it.each([
    ['has no auth', { data: {} }],
    ['has an empty token', { auth: tokenAuth({ client_token: '' }) }],
    ['has a token with a line feed', { auth: tokenAuth({ client_token: 'hvs.\r\nx: y' }) }],
    ['has a negative duration', { auth: tokenAuth({ lease_duration: -1 }) }],
    ['has an accessor that is no text', { auth: tokenAuth({ accessor: 7 }) }],
    ['is a list', []],
  ])('refuses an answer that %s', async (_name, json) => {
    const { vault, client } = await fixture();
    vault.on('auth/jwt/login', { json });
    expect((await failure(client.login('jwt', proof, signal()))).code).toBe('credential_invalid');
  });
});

describe('read', () => {
  it('gives the data with every string a secret, and sends token and index', async () => {
    const { vault, client } = await fixture();
    vault.on('openai/creds/agents', { json: leased({ api_key: CANARY, ttl: 60, nested: { note: CANARY } }) });
    const reply = await client.read(
      tokenOf({ index: 'aW5k' }),
      'openai/creds/agents',
      { method: 'GET', parameters: { ttl: '1h', 'a b': '&' } },
      signal(),
    );
    expect(reply).toMatchObject({
      leaseId: 'openai/creds/agents/0123456789abcdef',
      leaseDurationMs: 3_600_000,
      renewable: false,
    });
    expect((reply.data.get('api_key') as Secret).reveal().toString()).toBe(CANARY);
    expect(reply.data.get('ttl')).toBe(60);
    expect(inspect(reply, { depth: 9 })).not.toContain(CANARY);
    expect(vault.calls[0]?.path).toBe('/v1/openai/creds/agents?ttl=1h&a%20b=%26');
    expect(vault.calls[0]?.headers).toMatchObject({
      'x-vault-token': 'hvs.abc',
      'x-vault-index': 'aW5k',
      'x-vault-inconsistent': 'forward-active-node',
    });
  });

  it('posts parameters as JSON', async () => {
    const { vault, client } = await fixture();
    vault.on('aws/sts/r', { json: leased({}) });
    await client.read(tokenOf(), 'aws/sts/r', { method: 'POST', parameters: { ttl: '15m' } }, signal());
    expect(vault.calls[0]).toMatchObject({ method: 'POST', path: '/v1/aws/sts/r', body: '{"ttl":"15m"}' });
  });

  it.each(['a/../sys/raw', 'a//b', './a', 'a/', '/a', 'a/b\nc'])('refuses the path %j without a call', async (path) => {
    const { vault, client } = await fixture();
    expect((await failure(client.read(tokenOf(), path, GET, signal()))).code).toBe('credential_invalid');
    expect(vault.calls).toEqual([]);
  });

  it('encodes what would end the path', async () => {
    const { vault, client } = await fixture();
    await failure(client.read(tokenOf(), 'kv/a?b#c%2f', GET, signal()));
    expect(vault.calls[0]?.path).toBe('/v1/kv/a%3Fb%23c%252f');
  });

  it.each([
    ['malformed JSON', { raw: `{"data":{"api_key":"${CANARY}"}` }],
    ['an empty body', { raw: '' }],
    ['no data', { json: { data: null } }],
    ['a status of 204', { status: 204 }],
    ['a fractional duration', { json: leased({ api_key: CANARY }, { lease_duration: 1.5 }) }],
    ['a duration that is text', { json: leased({ api_key: CANARY }, { lease_duration: '1h' }) }],
    ['a lease id with a line feed', { json: leased({ api_key: CANARY }, { lease_id: 'a\nb' }) }],
    ['more than the limit', { json: leased({ api_key: CANARY.repeat(20_000) }) }],
    ['a coding', { raw: 'x', headers: { 'content-encoding': 'gzip' } }],
  ])('refuses an answer with %s', async (_name, script) => {
    const { vault, client } = await fixture();
    vault.on('p', script);
    expect((await failure(client.read(tokenOf(), 'p', GET, signal()))).code).toBe('credential_invalid');
  });
});

describe('statuses', () => {
  const rows: [number, string, boolean][] = [
    [301, 'credential_unavailable', true],
    [307, 'credential_unavailable', true],
    [400, 'credential_denied', true],
    [401, 'credential_denied', false],
    [403, 'credential_denied', false],
    [404, 'credential_denied', true],
    [405, 'credential_denied', true],
    [418, 'credential_denied', true],
    [408, 'credential_unavailable', true],
    [412, 'credential_unavailable', true],
    [425, 'credential_unavailable', true],
    [429, 'credential_unavailable', true],
    [472, 'credential_unavailable', true],
    [473, 'credential_unavailable', true],
    [474, 'credential_unavailable', true],
    [500, 'credential_unavailable', true],
    [501, 'credential_unavailable', true],
    [502, 'credential_unavailable', true],
    [503, 'credential_unavailable', true],
    [504, 'credential_unavailable', true],
    [530, 'credential_unavailable', true],
    [599, 'credential_unavailable', true],
    [206, 'credential_invalid', false],
  ];
  it.each(rows)('%i is %s', async (status, code, mayRetry) => {
    const { vault, client } = await fixture();
    vault.on('openai/creds/agents', {
      status,
      raw: `{"errors":["${CANARY} openai/creds/agents"]}`,
      headers: { location: `${vault.address}/v1/elsewhere` },
    });
    const error = await failure(client.read(tokenOf(), 'openai/creds/agents', GET, signal()));
    expect(error.code).toBe(code);
    expect(error.retryAfterMs !== null).toBe(mayRetry);
    expect(vault.callsTo('elsewhere')).toEqual([]);
  });

  it('a refused login is final whatever its status', async () => {
    const { vault, client } = await fixture();
    vault.on('auth/jwt/login', { status: 400, json: { errors: ['role "agents" could not be found'] } });
    expect(await failure(client.login('jwt', proof, signal()))).toMatchObject({
      code: 'credential_denied',
      retryAfterMs: null,
    });
    expect(vault.calls).toHaveLength(1);
  });

  it('passes Retry-After on, and only where it is a number of seconds', async () => {
    const { vault, client } = await fixture();
    vault.on(
      'p',
      { status: 429, headers: { 'retry-after': '7' } },
      { status: 503, headers: { 'retry-after': '0x10' } },
      { status: 429, headers: { 'retry-after': '0' } },
    );
    expect((await failure(client.read(tokenOf(), 'p', GET, signal()))).retryAfterMs).toBe(7000);
    expect((await failure(client.read(tokenOf(), 'p', GET, signal()))).retryAfterMs).toBe(1000);
    // A quota of Vault rounds down: never is "at once" meant.
    expect((await failure(client.read(tokenOf(), 'p', GET, signal()))).retryAfterMs).toBe(1000);
  });
});

describe('one more try', () => {
  it('is given to 412 and to a 403 for a token that has never worked', async () => {
    for (const status of [412, 403]) {
      const { vault, client } = await fixture();
      vault.on('p', { status }, { json: leased({}) });
      await client.read(tokenOf(), 'p', GET, signal());
      expect(vault.calls).toHaveLength(2);
    }
  });

  it('is given once only', async () => {
    const { vault, client } = await fixture();
    vault.on('p', { status: 412 });
    await failure(client.read(tokenOf(), 'p', GET, signal()));
    expect(vault.calls).toHaveLength(2);
  });

  it('is not given to a 403 for a token that has worked', async () => {
    const { vault, client } = await fixture();
    const token = tokenOf();
    vault.on('p', { json: leased({}) }, { status: 403 });
    await client.read(token, 'p', GET, signal());
    expect((await failure(client.read(token, 'p', GET, signal()))).code).toBe('credential_denied');
    expect(vault.calls).toHaveLength(2);
  });

  it('is not given to a token whose uses are counted', async () => {
    for (const script of [{ status: 403 }, { status: 412 }, (response: { destroy(): void }) => response.destroy()]) {
      const { vault, client } = await fixture();
      vault.on('p', script);
      await failure(client.read(tokenOf({ numUses: 2 }), 'p', GET, signal()));
      expect(vault.calls).toHaveLength(1);
    }
  });

  it('is given to a connection that broke', async () => {
    const { vault, client } = await fixture();
    vault.on('p', (response) => response.destroy(), { json: leased({}) });
    await client.read(tokenOf(), 'p', GET, signal());
    expect(vault.calls).toHaveLength(2);
  });
});

describe('deadlines and connections', () => {
  it('cuts a try that takes too long, twice, and says so', async () => {
    const { vault, client } = await fixture({ timeoutMs: 100 });
    vault.on('p', () => {});
    const error = await failure(client.read(tokenOf(), 'p', GET, signal()));
    expect(error).toMatchObject({
      code: 'credential_unavailable',
      detail: 'the credential source did not answer in time',
    });
    expect(vault.calls).toHaveLength(2);
  });

  it('cuts a body that stalls', async () => {
    const { vault, client } = await fixture({ timeoutMs: 100 });
    vault.on('p', (response) => {
      response.writeHead(200);
      response.write('{"data":');
    });
    expect((await failure(client.read(tokenOf(), 'p', GET, signal()))).code).toBe('credential_unavailable');
  });

  it('ends at once where the caller gives up, with no further try', async () => {
    const { vault, client } = await fixture({ timeoutMs: 2000 });
    vault.on('p', () => {});
    const controller = new AbortController();
    const read = failure(client.read(tokenOf(), 'p', GET, controller.signal));
    setTimeout(() => controller.abort(), 50);
    expect((await read).code).toBe('credential_unavailable');
    expect(vault.calls).toHaveLength(1);
  });

  it('says that the connection was refused', async () => {
    const { vault, client } = await fixture();
    await vault.close();
    const error = await failure(client.read(tokenOf(), 'p', GET, signal()));
    expect(error).toMatchObject({
      code: 'credential_unavailable',
      detail: 'the credential source refused the connection',
    });
  });

  it('refuses an address that is no origin', () => {
    for (const address of [
      'vault:8200',
      'https://vault:8200/v1',
      'ftp://vault',
      'https://user@vault',
      'https://va ult',
    ])
      expect(() => openVaultClient({ address, namespace: null })).toThrow(/configuration_invalid|authority_malformed/);
  });
});

describe('TLS', () => {
  const authority = new SandboxAuthority(new FakeClock(Date.now()));
  async function secure(caPem: string | undefined, name: string): Promise<{ vault: FakeVault; client: VaultClient }> {
    const vault = await FakeVault.open({ SNICallback: (_name, done) => done(null, authority.contextFor(name)) });
    const address = vault.address.replace('127.0.0.1', 'localhost');
    const client = openVaultClient({
      address,
      namespace: null,
      timeoutMs: 1000,
      ...(caPem === undefined ? {} : { caPem }),
    });
    closers.push(
      () => vault.close(),
      () => client.close(),
    );
    vault.login();
    return { vault, client };
  }

  it('logs in where the certificate is right', async () => {
    const { vault, client } = await secure(authority.rootPem, 'localhost');
    await client.login('jwt', proof, signal());
    expect(vault.calls).toHaveLength(1);
  });

  it('sends nothing to a certificate of an unknown root, or of another name', async () => {
    for (const [caPem, name] of [
      [undefined, 'localhost'],
      [authority.rootPem, 'other.example'],
    ] as const) {
      const { vault, client } = await secure(caPem, name);
      const error = await failure(client.login('jwt', proof, signal()));
      expect(error).toMatchObject({
        code: 'credential_unavailable',
        detail: 'the certificate of the credential source could not be verified',
      });
      expect(vault.calls).toEqual([]);
    }
  });
});

describe('the rest of the API', () => {
  it('renews and revokes', async () => {
    const { vault, client } = await fixture();
    const token = tokenOf();
    vault
      .on('auth/token/renew-self', { json: { auth: tokenAuth({ lease_duration: 60 }) } })
      .on('sys/leases/renew', { json: { lease_id: 'l', lease_duration: 30, renewable: true } })
      .on('auth/token/revoke-self', { status: 204 })
      .on('sys/leases/revoke', { status: 204 });
    expect(await client.renewToken(token, signal())).toEqual({ leaseDurationMs: 60_000, renewable: true });
    expect(await client.renewLease(token, 'l', 90_500, signal())).toEqual({ leaseDurationMs: 30_000, renewable: true });
    await client.revokeSelf(token, signal());
    await client.revokeLease(token, 'l', signal());
    expect(vault.calls.map((call) => call.body)).toEqual([
      '{}',
      '{"lease_id":"l","increment":91}',
      '{}',
      '{"lease_id":"l","sync":true}',
    ]);
  });

  it.each([
    [200, 'active'],
    [429, 'standby'],
    [473, 'standby'],
    [501, 'uninitialised'],
    [472, 'standby'],
    [474, 'standby'],
    [503, 'sealed'],
    [530, 'removed'],
    [418, 'unknown'],
  ])('health of %i is %s', async (status, state) => {
    const { vault, client } = await fixture();
    vault.on('sys/health', { status, json: {} });
    expect(await client.health(signal())).toBe(state);
  });
});
