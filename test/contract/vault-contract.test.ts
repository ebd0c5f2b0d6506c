/** One suite for two servers: logging in, tokens, the shape of every answer. See contract-target.ts. */
import { generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContractTarget, TARGETS } from './contract-target.ts';

describe.each(TARGETS)('the %s Vault', (kind) => {
  let target: ContractTarget;
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
  });
  afterAll(() => target?.close());

  describe('a login with a JWT', () => {
    it('answers with an orphan token that has the policies of the role', async () => {
      const { status, body } = await target.login('agent');
      expect(status).toBe(200);
      expect(body.auth).toMatchObject({
        policies: expect.arrayContaining(['default', target.mark]),
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
      const { status, body } = await target.login('agent', await target.jwt({ aud: 'somebody-else' }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('invalid audience (aud) claim');
    });

    it('refuses a subject that the role is not bound to', async () => {
      const { status, body } = await target.login('agent', await target.jwt({ sub: 'spiffe://contract.test/other' }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('invalid subject (sub) claim');
    });

    it('refuses a JWT that has expired', async () => {
      const { status, body } = await target.login('agent', await target.jwt({ lifetimeSeconds: -600 }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('expired');
    });

    it('refuses a signature by a key that is not in the set', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      const { status, body } = await target.login('agent', await target.jwt({ key: privateKey }));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toBe(
        'error validating token: error verifying token signature: failed to verify id token signature',
      );
    });

    it('refuses a role that does not exist', async () => {
      const { status, body } = await target.login('nobody');
      expect(status).toBe(400);
      expect(body.errors).toEqual(['role "nobody" could not be found']);
    });

    it('refuses a request without a JWT', async () => {
      const { status, body } = await target.ask('POST', `auth/${target.jwtMount}/login`, { body: { role: 'agent' } });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['missing token']);
    });

    it('accepts any subject that fits a glob in bound_claims, and no other', async () => {
      const bound_claims = { sub: 'spiffe://contract.test/*' };
      await target.role('globbed', { bound_subject: '', bound_claims_type: 'glob', bound_claims });
      expect((await target.login('globbed', await target.jwt({ sub: 'spiffe://contract.test/whoever' }))).status).toBe(
        200,
      );
      expect((await target.login('globbed', await target.jwt({ sub: 'spiffe://elsewhere.test/x' }))).status).toBe(400);
    });

    it('refuses an audience where the role has none', async () => {
      await target.role('anyone', { bound_audiences: [] });
      const { status, body } = await target.login('anyone');
      expect(status).toBe(400);
      expect(body.errors).toEqual(['audience claim found in JWT but no audiences bound to the role']);
      expect((await target.login('anyone', await target.jwt({ aud: null }))).status).toBe(200);
    });

    it('never makes a root token, though a role may say so', async () => {
      await target.role('rootly', { token_policies: ['root'] });
      const { status, body } = await target.login('rootly');
      expect(status).toBe(400);
      expect(body.errors).toEqual(['auth methods cannot create root tokens']);
    });

    it('gives a periodic token its period at every renewal', async () => {
      await target.role('period', { token_period: '5m' });
      const { body } = await target.login('period');
      expect(body.auth).toMatchObject({ lease_duration: 300, renewable: true });
      const token = String(body.auth?.['client_token']);
      const renewed = await target.ask('POST', 'auth/token/renew-self', { token, body: { increment: '1h' } });
      expect(renewed.body.auth).toMatchObject({ lease_duration: 300 });
    });

    it('caps the renewal of a token at its maximum, with a warning', async () => {
      await target.role('maxed', { token_ttl: '5m', token_max_ttl: '6m' });
      const token = await target.tokenOf('maxed');
      const { body } = await target.ask('POST', 'auth/token/renew-self', { token, body: { increment: '1h' } });
      expect(body.auth?.['lease_duration']).toBeGreaterThan(330);
      expect(body.auth?.['lease_duration']).toBeLessThanOrEqual(360);
      expect((body['warnings'] as readonly string[])[0]).toContain('exceeded the effective max_ttl');
    });

    it('gives batch tokens that can be neither renewed nor revoked, without an accessor', async () => {
      const { body } = await target.login('batch');
      expect(body.auth).toMatchObject({ token_type: 'batch', renewable: false, accessor: '', lease_duration: 300 });
      const token = String(body.auth?.['client_token']);
      const renewal = await target.ask('POST', 'auth/token/renew-self', { token, body: {} });
      expect(renewal.status).toBe(400);
      expect(renewal.body.errors).toEqual(['batch tokens cannot be renewed']);
    });
  });

  describe('the default policy', () => {
    it.each([
      ['GET', 'auth/token/lookup-self', null, 200],
      ['POST', 'auth/token/renew-self', {}, 200],
      ['PUT', 'sys/leases/lookup', { lease_id: 'x/y' }, 400],
      ['PUT', 'sys/leases/renew', { lease_id: 'x/y' }, 400],
      ['PUT', 'sys/leases/revoke', { lease_id: 'x/y' }, 403],
      ['POST', 'sys/capabilities-self', { paths: ['sys/x'] }, 200],
      ['GET', 'sys/mounts', null, 403],
      ['POST', 'auth/token/lookup', { token: 'hvs.other' }, 403],
      ['PUT', 'sys/seal', {}, 403],
      ['POST', 'auth/token/revoke-self', {}, 204],
    ])('on %s %s', async (method, path, body, status) => {
      const token = await target.tokenOf('agent');
      expect((await target.ask(method, path, { token, ...(body === null ? {} : { body }) })).status).toBe(status);
    });
  });

  describe('a token', () => {
    it('is taken from Authorization: Bearer as well', async () => {
      const token = await target.tokenOf('agent');
      const { status, body } = await target.ask('GET', 'auth/token/lookup-self', {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(status).toBe(200);
      expect(body.data).toMatchObject({
        type: 'service',
        orphan: true,
        num_uses: 0,
        policies: ['default', target.mark].sort(),
      });
    });

    it('that is unknown is refused with 403', async () => {
      const { status, body } = await target.ask('GET', 'auth/token/lookup-self', { token: 'hvs.nobody' });
      expect(status).toBe(403);
      expect(body.errors?.join()).toContain('permission denied');
    });

    it('that is missing is refused with 403', async () => {
      expect((await target.ask('GET', 'auth/token/lookup-self')).status).toBe(403);
    });

    it('can be renewed by itself', async () => {
      const token = await target.tokenOf('agent');
      const { status, body } = await target.ask('POST', 'auth/token/renew-self', { token, body: { increment: '5m' } });
      expect(status).toBe(200);
      expect(body.auth).toMatchObject({ client_token: token, renewable: true });
      expect(Number(body.auth?.['lease_duration'])).toBeLessThanOrEqual(600);
    });

    it('is unknown after revoke-self', async () => {
      const token = await target.tokenOf('agent');
      expect((await target.ask('POST', 'auth/token/revoke-self', { token })).status).toBe(204);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });
  });

  describe('an answer', () => {
    it('has the common envelope', async () => {
      await target.configure(`${target.mark}-kv1/envelope`, { a: 'b' });
      const { body } = await target.ask('GET', `${target.mark}-kv1/envelope`, { token: target.root });
      expect(body['request_id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(body).toMatchObject({ auth: null, warnings: null, wrap_info: null });
    });

    it('for what is not there is 404 with no errors', async () => {
      const { status, body } = await target.ask('GET', `${target.mark}-kv1/nothing`, { token: target.root });
      expect(status).toBe(404);
      expect(body).toEqual({ errors: [] });
    });

    it('for a path that nothing is mounted at is 404 with the reason', async () => {
      const { status, body } = await target.ask('GET', `${target.mark}-nowhere/x`, { token: target.root });
      expect(status).toBe(404);
      expect(body.errors?.[0]).toContain('no handler for route');
    });

    it('for what policy forbids is 403', async () => {
      const { status, body } = await target.ask('GET', `${target.mark}-kv1/hidden`, {
        token: await target.tokenOf('agent'),
      });
      expect(status).toBe(403);
      expect(body).toEqual({ errors: ['1 error occurred:\n\t* permission denied\n\n'] });
    });

    it('for an operation that the path does not have is 405', async () => {
      expect((await target.ask('DELETE', 'auth/token/lookup-self', { token: target.root })).status).toBe(405);
    });

    it('for JSON that is broken is 400, of HashiCorp Vault 500', async () => {
      const response = await fetch(`${target.address}/v1/${target.mark}-kv1/broken`, {
        method: 'POST',
        headers: { 'x-vault-token': target.root },
        body: '{"a":',
      });
      expect(response.status).toBe(target.product === 'vault' ? 500 : 400);
      expect(await response.json()).toHaveProperty('errors');
    });

    it('for PUT is that for POST', async () => {
      expect((await target.ask('PUT', `${target.mark}-kv1/put`, { token: target.root, body: { a: 'b' } })).status).toBe(
        204,
      );
    });

    it('can be wrapped and unwrapped once', async () => {
      await target.configure(`${target.mark}-kv1/wrapped`, { a: 'b' });
      const wrapped = await target.ask('GET', `${target.mark}-kv1/wrapped`, {
        token: target.root,
        headers: { 'x-vault-wrap-ttl': '60s' },
      });
      const info = wrapped.body['wrap_info'] as Record<string, unknown>;
      expect(info).toMatchObject({ ttl: 60, creation_path: `${target.mark}-kv1/wrapped` });
      const token = String(info['token']);
      expect((await target.ask('POST', 'sys/wrapping/unwrap', { token })).body.data).toEqual({ a: 'b' });
      expect((await target.ask('POST', 'sys/wrapping/unwrap', { token })).status).toBe(400);
    });
  });

  describe('the server', () => {
    it('is healthy without a token, with the code that is asked for', async () => {
      const { status, body } = await target.ask('GET', 'sys/health');
      expect(status).toBe(200);
      expect(body).toMatchObject({ initialized: true, sealed: false, standby: false });
      expect((await target.ask('GET', 'sys/health?activecode=299')).status).toBe(299);
    });

    it('shows its seal without a token', async () => {
      expect((await target.ask('GET', 'sys/seal-status')).body).toMatchObject({ initialized: true, sealed: false });
    });

    it('answers 503 while sealed and remembers all afterwards', async ({ skip }) => {
      if (kind === 'real') skip('a real server is not sealed by a test');
      const token = await target.tokenOf('agent');
      expect((await target.ask('PUT', 'sys/seal', { token: target.root })).status).toBe(204);
      const read = await target.readDynamic(token);
      expect(read.status).toBe(503);
      expect(read.body).toEqual({ errors: ['Vault is sealed'] });
      expect((await target.login('agent')).status).toBe(503);
      expect((await target.ask('GET', 'sys/health')).status).toBe(503);
      expect((await target.ask('GET', 'sys/health?sealedcode=200')).body).toMatchObject({
        sealed: true,
        standby: true,
      });
      const wrong = await target.ask('PUT', 'sys/unseal', { body: { key: '00' } });
      expect(wrong.status).toBe(400);
      await target.ask('PUT', 'sys/unseal', { body: { key: target.embedded?.unsealKey } });
      expect((await target.readDynamic(token)).status).toBe(200);
    });
  });
});
