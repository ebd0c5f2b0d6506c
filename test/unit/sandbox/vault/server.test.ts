import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSandboxRegistry, type SandboxRegistry } from '../../../../src/sandbox/registry.ts';
import { type Provisioned, provisionSandbox } from '../../../../src/sandbox/vault/provision.ts';
import { openSandboxVault, type SandboxVault } from '../../../../src/sandbox/vault/server.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Body {
  readonly errors?: readonly string[];
  readonly data?: Record<string, unknown> | null;
  readonly auth?: Record<string, unknown> | null;
  readonly lease_id?: string;
  readonly lease_duration?: number;
  readonly renewable?: boolean;
  readonly warnings?: readonly string[] | null;
}

class Issuer {
  readonly #server: Server;
  #pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  kid = 'one';
  fetches = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      this.fetches += 1;
      void this.#document(request.url ?? '').then((body) => response.end(JSON.stringify(body)));
    });
  }

  async #document(url: string): Promise<object> {
    if (url.endsWith('/openid-configuration')) return { issuer: this.url, jwks_uri: `${this.url}/jwks` };
    return { keys: [{ ...(await exportJWK(this.#pair.publicKey)), kid: this.kid, alg: 'ES256', use: 'sig' }] };
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  rotate(): void {
    this.#pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.kid = `${this.kid}+`;
  }

  open(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()));
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  sign(now: number, sub = 'spiffe://sandbox.test/ai-agent'): Promise<string> {
    return new SignJWT({ sub, aud: 'vault', iss: this.url, iat: now / 1000, exp: now / 1000 + 120 })
      .setProtectedHeader({ alg: 'ES256', kid: this.kid })
      .sign(this.#pair.privateKey);
  }
}

let clock: FakeClock;
let registry: SandboxRegistry;
let vault: SandboxVault;
let issuer: Issuer;
let provisioned: Provisioned;

async function ask(
  method: string,
  path: string,
  token?: string,
  body?: object,
): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${vault.address}/v1/${path}`, {
    method,
    headers: token === undefined ? {} : { 'x-vault-token': token },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Body) };
}

async function login(role: string, sub?: string): Promise<string> {
  const jwt = await issuer.sign(clock.now(), sub);
  const { body } = await ask('POST', 'auth/jwt/login', undefined, { role, jwt });
  return String(body.auth?.['client_token'] ?? body.errors?.join());
}

beforeEach(async () => {
  clock = new FakeClock();
  registry = createSandboxRegistry(clock);
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock, registry });
  issuer = new Issuer();
  await issuer.open();
  provisioned = await provisionSandbox({
    address: vault.address,
    token: vault.rootToken,
    jwksUrl: `${issuer.url}/jwks`,
    trustDomain: 'sandbox.test',
    workloads: ['ai-agent', 'team/other'],
  });
});

afterEach(async () => {
  await vault.close();
  await issuer.close();
});

describe('the provisioned Vault', () => {
  it('gives each role what it is for and nothing else', async () => {
    const openai = await login('openai-apikeys');
    const key = await ask('GET', 'openai/creds/ai-agent', openai);
    expect(key.body).toMatchObject({ renewable: false, lease_duration: 3600 });
    expect(registry.findApiKey(String(key.body.data?.['api_key']))).toMatchObject({
      alive: true,
      leaseId: key.body.lease_id,
      workload: 'jwt-spiffe://sandbox.test/ai-agent',
    });
    expect((await ask('GET', 'secret/data/anthropic', openai)).status).toBe(403);
    const anthropic = await ask('GET', 'secret/data/anthropic', await login('anthropic'));
    expect(anthropic.body.data?.['data']).toEqual({ api_key: provisioned.anthropicKey });
    const internal = await ask('GET', 'kv/internal-api', await login('internal-api'));
    expect(internal.body.data).toEqual({ token: provisioned.internalToken });
    expect((await ask('GET', 'aws/sts/ai-agent', await login('aws'))).status).toBe(200);
    expect(vault.counters).toMatchObject({ logins: 4, reads: 4 });
  });

  it('binds every role to the workload that it was made for', async () => {
    const other = 'spiffe://sandbox.test/team/other';
    expect(await login('openai-apikeys', other)).toContain('invalid subject (sub) claim');
    const token = await login('openai-apikeys-team-other', other);
    expect((await ask('GET', 'openai/creds/team-other', token)).status).toBe(200);
  });

  it('can be provisioned twice', async () => {
    await provisionSandbox({
      address: vault.address,
      token: vault.rootToken,
      issuerUrl: issuer.url,
      trustDomain: 'sandbox.test',
      workloads: ['ai-agent'],
    });
    expect((await ask('GET', 'openai/creds/ai-agent', await login('openai-apikeys'))).status).toBe(200);
  });

  it('says so where nobody answers or the token is wrong', async () => {
    const options = { jwksUrl: issuer.url, trustDomain: 'sandbox.test', workloads: ['a'] };
    await expect(provisionSandbox({ ...options, address: vault.address, token: 'wrong' })).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: 'the Vault to provision refused sys/auth/jwt with 403',
    });
    await expect(provisionSandbox({ ...options, address: 'http://127.0.0.1:1', token: 'x' })).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
  });
});

describe('the JWT login', () => {
  it('keeps the keys, and fetches them again for a key it does not know', async () => {
    await login('anthropic');
    const before = issuer.fetches;
    await login('anthropic');
    expect(issuer.fetches).toBe(before);
    issuer.rotate();
    expect(await login('anthropic')).toMatch(/^hvs\./);
    expect(issuer.fetches).toBe(before + 1);
  });

  it('is refused while the keys cannot be had', async () => {
    issuer.rotate();
    const jwt = await issuer.sign(clock.now());
    await issuer.close();
    const { status, body } = await ask('POST', 'auth/jwt/login', undefined, { role: 'anthropic', jwt });
    expect(status).toBe(400);
    expect(body.errors?.[0]).toContain('error verifying token signature');
    issuer = new Issuer();
    await issuer.open();
  });

  it('takes keys as PEM, and refuses what is none', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = pair.publicKey.export({ type: 'spki', format: 'pem' });
    const configure = (keys: readonly unknown[]): Promise<{ status: number }> =>
      ask('POST', 'auth/jwt/config', vault.rootToken, { jwt_validation_pubkeys: keys });
    expect((await configure(['nonsense'])).status).toBe(400);
    expect((await configure([pem])).status).toBe(204);
    const now = clock.now() / 1000;
    const claims = { sub: 'spiffe://sandbox.test/ai-agent', aud: 'vault', exp: now + 60 };
    const jwt = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(pair.privateKey);
    const { status } = await ask('POST', 'auth/jwt/login', undefined, { role: 'anthropic', jwt });
    expect(status).toBe(200);
    expect(await login('anthropic')).toContain('no known key');
  });

  it('never accepts a JWT without a signature', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { sub: 'spiffe://sandbox.test/ai-agent', aud: 'vault', exp: clock.now() / 1000 + 60 };
    const jwt = `${part({ alg: 'none' })}.${part(claims)}.`;
    const { status } = await ask('POST', 'auth/jwt/login', undefined, { role: 'anthropic', jwt });
    expect(status).toBe(400);
  });

  it.each([
    [{ user_claim: 'sub', bound_subject: 'x' }, "'allowed_redirect_uris' must be set"],
    [{ role_type: 'jwt', bound_subject: 'x' }, 'a user claim must be defined'],
    [{ role_type: 'jwt', user_claim: 'sub' }, 'at least one bound constraint'],
    [
      { role_type: 'jwt', user_claim: 'sub', bound_subject: 'x', token_ttl: '2h', token_max_ttl: '1h' },
      "'token_ttl' cannot be greater than 'token_max_ttl'",
    ],
    [{ role_type: 'jwt', user_claim: 'sub', bound_subject: 'x', token_ttl: 'soon' }, 'error converting input'],
    [{ role_type: 'jwt', user_claim: 'sub', bound_subject: 'x', token_type: 'batch', token_num_uses: 2 }, 'batch'],
  ])('refuses the role %j', async (role, text) => {
    const { status, body } = await ask('POST', 'auth/jwt/role/bad', vault.rootToken, role);
    expect(status).toBe(400);
    expect(body.errors?.[0]).toContain(text);
  });
});

describe('time', () => {
  it('ends a lease, and the key with it', async () => {
    await ask('POST', 'openai/roles/short', vault.rootToken, { project_id: 'p', ttl: '10m' });
    const { body } = await ask('GET', 'openai/creds/short', await login('openai-apikeys'));
    const value = String(body.data?.['api_key']);
    await clock.advance(10 * MINUTE - 1);
    expect(registry.findApiKey(value)?.alive).toBe(true);
    await clock.advance(1);
    expect(registry.findApiKey(value)?.alive).toBe(false);
    expect(vault.liveLeases()).toEqual([]);
    expect(vault.counters.revocations).toBe(1);
  });

  it('ends the leases of a token that ends, whatever lease_duration said', async () => {
    await ask('POST', 'openai/roles/long', vault.rootToken, { project_id: 'p', ttl: '5h' });
    const { body } = await ask('GET', 'openai/creds/long', await login('openai-apikeys'));
    expect(body.lease_duration).toBe(5 * 3600);
    await clock.advance(HOUR);
    expect(registry.findApiKey(String(body.data?.['api_key']))?.alive).toBe(false);
  });

  it('of a renewed token is cut to its maximum, with a warning', async () => {
    const token = await login('openai-apikeys');
    for (let hour = 0; hour < 23; hour += 1) {
      await clock.advance(59 * MINUTE);
      expect((await ask('POST', 'auth/token/renew-self', token)).body.auth?.['lease_duration']).toBe(3600);
    }
    await clock.advance(59 * MINUTE);
    const { body } = await ask('POST', 'auth/token/renew-self', token, { increment: '1h' });
    expect(body.auth?.['lease_duration']).toBe(24 * 60);
    expect(body.warnings?.[0]).toContain('exceeded the effective max_ttl');
    await clock.advance(24 * MINUTE);
    expect((await ask('GET', 'auth/token/lookup-self', token)).status).toBe(403);
  });

  it('does not end leases of a sealed Vault until it is unsealed', async () => {
    const { body } = await ask('GET', 'openai/creds/ai-agent', await login('openai-apikeys'));
    const value = String(body.data?.['api_key']);
    vault.seal();
    await clock.advance(2 * HOUR);
    expect(registry.findApiKey(value)?.alive).toBe(true);
    vault.unseal();
    expect(registry.findApiKey(value)?.alive).toBe(false);
  });

  it('is not counted by the wall clock', async () => {
    const token = await login('openai-apikeys');
    clock.jump(48 * HOUR);
    expect((await ask('GET', 'auth/token/lookup-self', token)).body.data?.['ttl']).toBe(3600);
  });
});

describe('the AWS engine', () => {
  it('gives users renewable leases that end their keys', async () => {
    const token = await login('aws');
    const { body } = await ask('GET', 'aws/creds/ai-agent-user', token);
    expect(body).toMatchObject({ renewable: true, lease_duration: 3600, data: { security_token: null } });
    const accessKeyId = String(body.data?.['access_key']);
    await clock.advance(30 * MINUTE);
    const lease_id = body.lease_id;
    const renewed = await ask('PUT', 'sys/leases/renew', token, { lease_id, increment: 5400 });
    expect(renewed.body).toMatchObject({ lease_id, lease_duration: 5400, renewable: true });
    expect(vault.counters.renewals).toBe(1);
    await ask('POST', 'auth/token/revoke-self', token);
    expect(registry.findAwsKey(accessKeyId)?.alive).toBe(false);
  });

  it('gives sessions that work on until their own end after they were revoked', async () => {
    const { body } = await ask('GET', 'aws/sts/ai-agent?ttl=15m', await login('aws'));
    expect(body).toMatchObject({ renewable: false, lease_duration: 900, data: { ttl: 900 } });
    expect(body.data?.['security_token']).toEqual(expect.any(String));
    await ask('PUT', 'sys/leases/revoke', vault.rootToken, { lease_id: body.lease_id });
    const accessKeyId = String(body.data?.['access_key']);
    expect(registry.findAwsKey(accessKeyId)?.alive).toBe(true);
    await clock.advance(15 * MINUTE);
    expect(registry.findAwsKey(accessKeyId)?.alive).toBe(false);
  });
});

describe('the OpenAI engine', () => {
  it('takes a shorter ttl and ignores one at or above the maximum', async () => {
    const token = await login('openai-apikeys');
    expect((await ask('GET', 'openai/creds/ai-agent?ttl=5m', token)).body.lease_duration).toBe(300);
    expect((await ask('GET', 'openai/creds/ai-agent?ttl=24h', token)).body.lease_duration).toBe(3600);
    expect((await ask('GET', 'openai/creds/nobody', token)).body.errors).toEqual(['role "nobody" does not exist']);
  });

  it('never shows its admin key', async () => {
    const { body } = await ask('GET', 'openai/config', vault.rootToken);
    expect(JSON.stringify(body)).not.toContain('sk-admin');
  });

  it('ends all its keys when it is unmounted', async () => {
    const { body } = await ask('GET', 'openai/creds/ai-agent', await login('openai-apikeys'));
    expect((await ask('DELETE', 'sys/mounts/openai', vault.rootToken)).status).toBe(204);
    expect(registry.findApiKey(String(body.data?.['api_key']))?.alive).toBe(false);
  });
});

describe('tokens made by tokens', () => {
  it('end with their parent, save orphans', async () => {
    const parent = (await ask('POST', 'auth/token/create', vault.rootToken, { policies: ['default'] })).body.auth;
    const parentToken = String(parent?.['client_token']);
    const orphan = (await ask('POST', 'auth/token/create-orphan', vault.rootToken, {})).body.auth;
    const policy = 'path "auth/token/create" { capabilities = ["update"] }';
    await ask('PUT', 'sys/policies/acl/maker', vault.rootToken, { policy });
    const maker = (await ask('POST', 'auth/token/create', vault.rootToken, { policies: ['maker'] })).body.auth;
    const makerToken = String(maker?.['client_token']);
    const child = (await ask('POST', 'auth/token/create', makerToken, {})).body.auth;
    expect((await ask('POST', 'auth/token/create', makerToken, { policies: ['openai-apikeys'] })).body.errors).toEqual([
      'child policies must be subset of parent',
    ]);
    expect((await ask('POST', 'auth/token/create', parentToken, {})).status).toBe(403);
    await ask('POST', 'auth/token/revoke', vault.rootToken, { token: makerToken });
    expect((await ask('GET', 'auth/token/lookup-self', String(child?.['client_token']))).status).toBe(403);
    expect((await ask('GET', 'auth/token/lookup-self', String(orphan?.['client_token']))).status).toBe(200);
  });
});

describe('the door', () => {
  it('cuts every connection during an outage and answers again after it', async () => {
    vault.outage(true);
    await expect(ask('GET', 'sys/health')).rejects.toThrow();
    vault.outage(false);
    expect((await ask('GET', 'sys/health')).status).toBe(200);
  });

  it('holds requests during an outage of the other kind and answers them after it', async () => {
    vault.outage('hold');
    const held = ask('GET', 'sys/health');
    expect(await Promise.race([held, new Promise((resolve) => setTimeout(() => resolve('held'), 50))])).toBe('held');
    vault.outage(false);
    expect((await held).status).toBe(200);
  });

  it('refuses a body that is too large, another namespace, an unknown method, a path that climbs', async () => {
    expect((await ask('POST', 'kv/big', vault.rootToken, { a: 'x'.repeat(1_100_000) })).status).toBe(413);
    const elsewhere = await fetch(`${vault.address}/v1/kv/internal-api`, {
      headers: { 'x-vault-token': vault.rootToken, 'x-vault-namespace': 'team-a' },
    });
    expect(elsewhere.status).toBe(404);
    expect((await ask('OPTIONS', 'kv/x', vault.rootToken)).status).toBe(405);
    expect((await ask('GET', 'kv/..%2fsys', vault.rootToken)).status).toBe(400);
  });

  it('keeps a field named kind as the data that it is', async () => {
    await ask('POST', 'kv/kind', vault.rootToken, { kind: 'refusal', status: 418 });
    expect((await ask('GET', 'kv/kind', vault.rootToken)).body.data).toEqual({ kind: 'refusal', status: 418 });
  });

  it('leaves no timer when it closes', async () => {
    await ask('GET', 'openai/creds/ai-agent', await login('openai-apikeys'));
    expect(clock.pending).toBeGreaterThan(0);
    await vault.close();
    expect(clock.pending).toBe(0);
    vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock, registry });
  });
});
