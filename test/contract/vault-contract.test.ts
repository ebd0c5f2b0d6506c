/**
 * One suite for two servers: the sandbox's Vault, and a real Vault or OpenBao where VAULT_ADDR and VAULT_TOKEN (a root token) name
 * one. Everything it needs it mounts under names of its own and unmounts afterwards. A real server must be able to reach this
 * machine's loopback for the key set; where it has no openai engine, `pki` stands in as the engine that makes leases.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { createSandboxRegistry } from '../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../src/sandbox/vault/server.ts';

const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

interface Reply {
  readonly status: number;
  readonly body: Body;
}

interface Body {
  readonly errors?: readonly string[];
  readonly data?: Record<string, unknown> | null;
  readonly auth?: Record<string, unknown> | null;
  readonly lease_id?: string;
  readonly lease_duration?: number;
  readonly renewable?: boolean;
  readonly [field: string]: unknown;
}

interface Ask {
  readonly token?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const realAddress = process.env['VAULT_ADDR'];
const realToken = process.env['VAULT_TOKEN'];
const TARGETS = realAddress === undefined || realToken === undefined ? ['embedded'] : ['embedded', 'real'];

describe.each(TARGETS)('the %s Vault', (target) => {
  const mark = `cs${randomBytes(4).toString('hex')}`;
  const jwtMount = `${mark}-jwt`;
  const subject = 'spiffe://contract.test/ai-agent';
  let embedded: SandboxVault | null = null;
  let address = '';
  let root = '';
  let keyServer: Server;
  let signingKey: CryptoKey;
  /** The read that makes a lease. */
  let dynamic: { readonly method: string; readonly path: string; readonly body?: object };

  async function ask(method: string, path: string, { token, body, headers = {} }: Ask = {}): Promise<Reply> {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { ...(token === undefined ? {} : { 'x-vault-token': token }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Body) };
  }

  async function configure(path: string, body: object): Promise<void> {
    const { status, body: answer } = await ask('POST', path, { token: root, body });
    if (status >= 300) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`);
  }

  const role = (name: string, more: object = {}): Promise<void> =>
    configure(`auth/${jwtMount}/role/${name}`, {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['vault'],
      bound_subject: subject,
      token_policies: [mark],
      token_ttl: '10m',
      ...more,
    });

  interface Claims {
    readonly aud?: string;
    readonly sub?: string;
    readonly lifetimeSeconds?: number;
    readonly key?: CryptoKey;
  }

  function jwt({
    aud = 'vault',
    sub = subject,
    lifetimeSeconds = 120,
    key = signingKey,
  }: Claims = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'JWT' })
      .setIssuer('https://issuer.contract.test')
      .setAudience(aud)
      .setSubject(sub)
      .setIssuedAt(now + Math.min(0, lifetimeSeconds) - 1)
      .setExpirationTime(now + lifetimeSeconds)
      .sign(key);
  }

  const login = async (roleName: string, token?: string): Promise<Reply> =>
    ask('POST', `auth/${jwtMount}/login`, { body: { role: roleName, jwt: token ?? (await jwt()) } });

  async function tokenOf(roleName: string): Promise<string> {
    const { status, body } = await login(roleName);
    expect(status).toBe(200);
    return String(body.auth?.['client_token']);
  }

  const readDynamic = (token: string): Promise<Reply> =>
    ask(dynamic.method, dynamic.path, { token, ...(dynamic.body === undefined ? {} : { body: dynamic.body }) });

  const lookupLease = (leaseId: unknown): Promise<Reply> =>
    ask('PUT', 'sys/leases/lookup', { token: root, body: { lease_id: leaseId } });

  /** A real server revokes in the background. */
  async function expectLeaseGone(leaseId: unknown): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt += 1) {
      if ((await lookupLease(leaseId)).status === 400) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('the lease outlived its token');
  }

  async function mountDynamic(): Promise<void> {
    const mounted = await ask('POST', `sys/mounts/${mark}-dyn`, { token: root, body: { type: 'openai' } });
    if (mounted.status < 300 && target === 'embedded') {
      await configure(`${mark}-dyn/config`, { admin_api_key: 'sk-admin-contract', organization_id: 'org-contract' });
      await configure(`${mark}-dyn/roles/agent`, { project_id: 'proj_contract', ttl: '10m', max_ttl: '1h' });
      dynamic = { method: 'GET', path: `${mark}-dyn/creds/agent` };
      return;
    }
    if (mounted.status < 300) await ask('DELETE', `sys/mounts/${mark}-dyn`, { token: root });
    await configure(`sys/mounts/${mark}-dyn`, { type: 'pki' });
    await configure(`${mark}-dyn/root/generate/internal`, { common_name: 'contract.test', ttl: '2h' });
    await configure(`${mark}-dyn/roles/agent`, {
      allow_any_name: true,
      generate_lease: true,
      key_type: 'ec',
      key_bits: 256,
      ttl: '10m',
      max_ttl: '1h',
    });
    dynamic = { method: 'POST', path: `${mark}-dyn/issue/agent`, body: { common_name: 'agent.contract.test' } };
  }

  beforeAll(async () => {
    const pair = await generateKeyPair('ES256');
    signingKey = pair.privateKey;
    const publicKey = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
    keyServer = createServer((_, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [publicKey] }));
    });
    await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', () => resolve()));
    const jwksUrl = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/jwks`;
    if (target === 'embedded') {
      const registry = createSandboxRegistry(systemClock);
      embedded = await openSandboxVault({ address: '127.0.0.1', port: 0, clock: systemClock, registry });
      address = embedded.address;
      root = embedded.rootToken;
    } else {
      address = String(realAddress).replace(/\/$/, '');
      root = String(realToken);
    }
    await configure(`sys/auth/${jwtMount}`, { type: 'jwt' });
    await configure(`auth/${jwtMount}/config`, { jwks_url: jwksUrl });
    await configure(`sys/mounts/${mark}-kv1`, { type: 'kv', options: { version: '1' } });
    await configure(`sys/mounts/${mark}-kv2`, { type: 'kv', options: { version: '2' } });
    await mountDynamic();
    await configure(`sys/policies/acl/${mark}`, {
      policy: `
        # what the workload of this suite may do
        path "${mark}-dyn/*" { capabilities = ["read", "create", "update"] }
        path "${mark}-kv1/*" { capabilities = ["read", "list"] }
        path "${mark}-kv1/hidden" { capabilities = ["deny"] }
        path "${mark}-kv2/data/*" { capabilities = ["read"] }
      `,
    });
    await role('agent');
    await role('once', { token_num_uses: 1 });
    await role('twice', { token_num_uses: 2 });
    await role('batch', { token_type: 'batch', token_ttl: '5m' });
    await role('globbed', {
      bound_subject: '',
      bound_claims_type: 'glob',
      bound_claims: { sub: 'spiffe://contract.test/*' },
    });
    // a real server upgrades a new kv v2 mount in the background
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const { status } = await ask('GET', `${mark}-kv2/config`, { token: root });
      if (status === 200) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  afterAll(async () => {
    if (target === 'real') {
      await ask('PUT', `sys/leases/revoke-prefix/${mark}-dyn`, { token: root, body: { sync: true } });
      for (const path of [`auth/${jwtMount}`, ...['dyn', 'kv1', 'kv2'].map((name) => `mounts/${mark}-${name}`)]) {
        await ask('DELETE', `sys/${path}`, { token: root });
      }
      await ask('DELETE', `sys/policies/acl/${mark}`, { token: root });
    }
    await embedded?.close();
    await new Promise((resolve) => keyServer.close(resolve));
  });

  describe('a login with a JWT', () => {
    it('answers with an orphan token that has the policies of the role', async () => {
      const { status, body } = await login('agent');
      expect(status).toBe(200);
      expect(body.auth).toMatchObject({
        policies: expect.arrayContaining(['default', mark]),
        lease_duration: 600,
        renewable: true,
        token_type: 'service',
        orphan: true,
        num_uses: 0,
        metadata: { role: 'agent' },
      });
      expect(body.auth?.['client_token']).toEqual(expect.any(String));
      expect(body.auth?.['accessor']).toEqual(expect.any(String));
      expect(body).toMatchObject({ lease_id: '', renewable: false, lease_duration: 0, data: null });
    });

    it('refuses an audience that the role is not bound to', async () => {
      const { status, body } = await login('agent', await jwt({ aud: 'somebody-else' }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('invalid audience (aud) claim');
    });

    it('refuses a subject that the role is not bound to', async () => {
      const { status, body } = await login('agent', await jwt({ sub: 'spiffe://contract.test/other' }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('invalid subject (sub) claim');
    });

    it('refuses a JWT that has expired', async () => {
      const { status, body } = await login('agent', await jwt({ lifetimeSeconds: -600 }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('expired');
    });

    it('refuses a signature by a key that is not in the set', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      const { status, body } = await login('agent', await jwt({ key: privateKey }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('no known key successfully validated the token signature');
    });

    it('refuses a role that does not exist', async () => {
      const { status, body } = await login('nobody');
      expect(status).toBe(400);
      expect(body.errors).toEqual(['role "nobody" could not be found']);
    });

    it('refuses a request without a JWT', async () => {
      const { status, body } = await ask('POST', `auth/${jwtMount}/login`, { body: { role: 'agent' } });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['missing token']);
    });

    it('accepts any subject that fits a glob in bound_claims, and no other', async () => {
      expect((await login('globbed', await jwt({ sub: 'spiffe://contract.test/whoever' }))).status).toBe(200);
      expect((await login('globbed', await jwt({ sub: 'spiffe://elsewhere.test/x' }))).status).toBe(400);
    });
  });

  describe('a token', () => {
    it('is taken from Authorization: Bearer as well', async () => {
      const token = await tokenOf('agent');
      const { status, body } = await ask('GET', 'auth/token/lookup-self', {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(status).toBe(200);
      expect(body.data).toMatchObject({
        type: 'service',
        orphan: true,
        num_uses: 0,
        policies: ['default', mark].sort(),
      });
    });

    it('that is unknown is refused with 403', async () => {
      const { status, body } = await ask('GET', 'auth/token/lookup-self', { token: 'hvs.nobody' });
      expect(status).toBe(403);
      expect(body.errors?.join()).toContain('permission denied');
    });

    it('that is missing is refused with 403', async () => {
      expect((await ask('GET', 'auth/token/lookup-self')).status).toBe(403);
    });

    it('can be renewed by itself', async () => {
      const token = await tokenOf('agent');
      const { status, body } = await ask('POST', 'auth/token/renew-self', { token, body: { increment: '5m' } });
      expect(status).toBe(200);
      expect(body.auth).toMatchObject({ client_token: token, renewable: true });
      expect(Number(body.auth?.['lease_duration'])).toBeLessThanOrEqual(600);
    });

    it('is unknown after revoke-self', async () => {
      const token = await tokenOf('agent');
      expect((await ask('POST', 'auth/token/revoke-self', { token })).status).toBe(204);
      expect((await ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });
  });

  describe('a token with a limited number of uses', () => {
    it('of two gives a lease and one call more', async () => {
      const token = await tokenOf('twice');
      const read = await readDynamic(token);
      expect(read.status).toBe(200);
      expect((await lookupLease(read.body.lease_id)).status).toBe(200);
      expect((await ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
      expect((await ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
      await expectLeaseGone(read.body.lease_id);
    });

    it('of two ends well with read and revoke-self', async () => {
      const token = await tokenOf('twice');
      const read = await readDynamic(token);
      expect((await ask('POST', 'auth/token/revoke-self', { token })).status).toBe(204);
      await expectLeaseGone(read.body.lease_id);
    });

    it('of one can never have a lease', async () => {
      const { status, body } = await readDynamic(await tokenOf('once'));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('token had one use left, so leased credentials were immediately revoked');
    });

    it('pays for a refused call too', async () => {
      const token = await tokenOf('twice');
      expect((await ask('GET', `${mark}-kv1/hidden`, { token })).status).toBe(403);
      expect((await readDynamic(token)).status).toBe(400);
      expect((await ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });
  });

  describe('a lease', () => {
    it('is shown with id, duration and data', async () => {
      const { status, body } = await readDynamic(await tokenOf('agent'));
      expect(status).toBe(200);
      expect(body.lease_id).toMatch(new RegExp(`^${dynamic.path}/.+`));
      expect(body.renewable).toBe(false);
      expect(body.lease_duration).toBeGreaterThan(590);
      expect(body.lease_duration).toBeLessThanOrEqual(600);
      expect(body.data).not.toBeNull();
      const { body: found } = await lookupLease(body.lease_id);
      expect(found.data).toMatchObject({ id: body.lease_id, renewable: false });
    });

    it('that is not renewable cannot be renewed', async () => {
      const token = await tokenOf('agent');
      const read = await readDynamic(token);
      const { status, body } = await ask('PUT', 'sys/leases/renew', { token, body: { lease_id: read.body.lease_id } });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['lease is not renewable']);
    });

    it('that does not exist cannot be renewed', async () => {
      const lease_id = `${dynamic.path}/nothing`;
      const { status, body } = await ask('PUT', 'sys/leases/renew', { token: root, body: { lease_id } });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['lease not found']);
    });

    it('dies with the token that asked for it', async () => {
      const token = await tokenOf('agent');
      const read = await readDynamic(token);
      expect((await lookupLease(read.body.lease_id)).status).toBe(200);
      await ask('POST', 'auth/token/revoke-self', { token });
      await expectLeaseGone(read.body.lease_id);
    });

    it('can be revoked by its id, by whoever may', async () => {
      const token = await tokenOf('agent');
      const lease_id = (await readDynamic(token)).body.lease_id;
      const mayNot = await ask('PUT', 'sys/leases/revoke', { token, body: { lease_id } });
      expect(mayNot.status).toBe(403);
      const { status } = await ask('PUT', 'sys/leases/revoke', { token: root, body: { lease_id, sync: true } });
      expect(status).toBe(204);
      expect((await lookupLease(lease_id)).status).toBe(400);
      expect((await ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
    });

    it('under a batch token is cut to the time that the token has', async () => {
      const token = await tokenOf('batch');
      const { body } = await readDynamic(token);
      expect(body.lease_duration).toBeLessThanOrEqual(300);
      const { status, body: answer } = await ask('POST', 'auth/token/revoke-self', { token });
      expect(status).toBe(400);
      expect(answer.errors).toEqual(['batch tokens cannot be revoked']);
    });
  });

  describe('key/value', () => {
    it('version 1 gives back what was written, with a duration but no lease', async () => {
      await configure(`${mark}-kv1/static`, { token: 'abc', note: 'é' });
      const { status, body } = await ask('GET', `${mark}-kv1/static`, { token: await tokenOf('agent') });
      expect(status).toBe(200);
      expect(body).toMatchObject({ lease_id: '', renewable: false, data: { token: 'abc', note: 'é' } });
      expect(body.lease_duration).toBeGreaterThan(0);
    });

    it('version 1 takes the duration from a field ttl', async () => {
      await configure(`${mark}-kv1/short`, { token: 'abc', ttl: '30m' });
      expect((await ask('GET', `${mark}-kv1/short`, { token: root })).body.lease_duration).toBe(1800);
    });

    it('version 1 lists by LIST and by ?list=true', async () => {
      await configure(`${mark}-kv1/folder/one`, { a: 1 });
      const listed = await ask('LIST', `${mark}-kv1/folder`, { token: root });
      expect(listed.body.data).toEqual({ keys: ['one'] });
      expect((await ask('GET', `${mark}-kv1/folder?list=true`, { token: root })).body.data).toEqual({ keys: ['one'] });
    });

    it('version 2 gives back the newest version with its metadata', async () => {
      await configure(`${mark}-kv2/data/key`, { data: { api_key: 'first' } });
      await configure(`${mark}-kv2/data/key`, { data: { api_key: 'second' }, options: { cas: 1 } });
      const { body } = await ask('GET', `${mark}-kv2/data/key`, { token: await tokenOf('agent') });
      expect(body.data).toMatchObject({ data: { api_key: 'second' }, metadata: { version: 2, destroyed: false } });
      expect(body).toMatchObject({ lease_id: '', renewable: false, lease_duration: 0 });
      const former = await ask('GET', `${mark}-kv2/data/key?version=1`, { token: root });
      expect(former.body.data).toMatchObject({ data: { api_key: 'first' }, metadata: { version: 1 } });
    });

    it('version 2 refuses a write that does not follow the current version', async () => {
      await configure(`${mark}-kv2/data/cas`, { data: { a: '1' } });
      const body = { data: { a: '2' }, options: { cas: 7 } };
      const reply = await ask('POST', `${mark}-kv2/data/cas`, { token: root, body });
      expect(reply.status).toBe(400);
      expect(reply.body.errors).toEqual(['check-and-set parameter did not match the current version']);
    });

    it('version 2 answers 404 with metadata for a version that was deleted', async () => {
      await configure(`${mark}-kv2/data/gone`, { data: { a: '1' } });
      expect((await ask('DELETE', `${mark}-kv2/data/gone`, { token: root })).status).toBe(204);
      const { status, body } = await ask('GET', `${mark}-kv2/data/gone`, { token: root });
      expect(status).toBe(404);
      const deletion_time = expect.stringMatching(/^\d{4}-/);
      expect(body.data).toMatchObject({ data: null, metadata: { version: 1, destroyed: false, deletion_time } });
    });
  });

  describe('an answer', () => {
    it('has the common envelope', async () => {
      await configure(`${mark}-kv1/envelope`, { a: 'b' });
      const { body } = await ask('GET', `${mark}-kv1/envelope`, { token: root });
      expect(body['request_id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(body).toMatchObject({ auth: null, warnings: null, wrap_info: null });
    });

    it('for what is not there is 404 with no errors', async () => {
      const { status, body } = await ask('GET', `${mark}-kv1/nothing`, { token: root });
      expect(status).toBe(404);
      expect(body).toEqual({ errors: [] });
    });

    it('for a path that nothing is mounted at is 404 with the reason', async () => {
      const { status, body } = await ask('GET', `${mark}-nowhere/x`, { token: root });
      expect(status).toBe(404);
      expect(body.errors?.[0]).toContain('no handler for route');
    });

    it('for what policy forbids is 403', async () => {
      const { status, body } = await ask('GET', `${mark}-kv1/hidden`, { token: await tokenOf('agent') });
      expect(status).toBe(403);
      expect(body).toEqual({ errors: ['1 error occurred:\n\t* permission denied\n\n'] });
    });

    it('for an operation that the path does not have is 405', async () => {
      expect((await ask('DELETE', 'auth/token/lookup-self', { token: root })).status).toBe(405);
    });

    it('for JSON that is broken is 400', async () => {
      const response = await fetch(`${address}/v1/${mark}-kv1/broken`, {
        method: 'POST',
        headers: { 'x-vault-token': root },
        body: '{"a":',
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toHaveProperty('errors');
    });

    it('for PUT is that for POST', async () => {
      expect((await ask('PUT', `${mark}-kv1/put`, { token: root, body: { a: 'b' } })).status).toBe(204);
    });

    it('can be wrapped and unwrapped once', async () => {
      await configure(`${mark}-kv1/wrapped`, { a: 'b' });
      const wrapped = await ask('GET', `${mark}-kv1/wrapped`, { token: root, headers: { 'x-vault-wrap-ttl': '60s' } });
      const info = wrapped.body['wrap_info'] as Record<string, unknown>;
      expect(info).toMatchObject({ ttl: 60, creation_path: `${mark}-kv1/wrapped` });
      const token = String(info['token']);
      expect((await ask('POST', 'sys/wrapping/unwrap', { token })).body.data).toEqual({ a: 'b' });
      expect((await ask('POST', 'sys/wrapping/unwrap', { token })).status).toBe(400);
    });
  });

  describe('the server', () => {
    it('is healthy without a token, with the code that is asked for', async () => {
      const { status, body } = await ask('GET', 'sys/health');
      expect(status).toBe(200);
      expect(body).toMatchObject({ initialized: true, sealed: false, standby: false });
      expect((await ask('GET', 'sys/health?activecode=299')).status).toBe(299);
    });

    it('shows its seal without a token', async () => {
      expect((await ask('GET', 'sys/seal-status')).body).toMatchObject({ initialized: true, sealed: false });
    });

    it.runIf(target === 'embedded')('answers 503 while sealed and remembers all afterwards', async () => {
      const token = await tokenOf('agent');
      expect((await ask('PUT', 'sys/seal', { token: root })).status).toBe(204);
      const read = await readDynamic(token);
      expect(read.status).toBe(503);
      expect(read.body).toEqual({ errors: ['Vault is sealed'] });
      expect((await login('agent')).status).toBe(503);
      expect((await ask('GET', 'sys/health')).status).toBe(503);
      expect((await ask('GET', 'sys/health?sealedcode=200')).body).toMatchObject({ sealed: true });
      const wrong = await ask('PUT', 'sys/unseal', { body: { key: '00' } });
      expect(wrong.status).toBe(400);
      await ask('PUT', 'sys/unseal', { body: { key: embedded?.unsealKey } });
      expect((await readDynamic(token)).status).toBe(200);
    });
  });
});
