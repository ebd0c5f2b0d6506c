/** One suite for two servers: leases, how they end, and the engines that make them. See contract-target.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContractTarget, TARGETS } from './contract-target.ts';

describe.each(TARGETS)('the %s Vault', (kind) => {
  let target: ContractTarget;
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
  });
  afterAll(() => target?.close());

  describe('a token with a limited number of uses', () => {
    it('of two gives a lease and one call more', async () => {
      const token = await target.tokenOf('twice');
      const read = await target.readDynamic(token);
      expect(read.status).toBe(200);
      expect((await target.lookupLease(read.body.lease_id)).status).toBe(200);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
      await target.expectLeaseGone(read.body.lease_id);
    });

    it('of two ends well with read and revoke-self', async () => {
      const token = await target.tokenOf('twice');
      const read = await target.readDynamic(token);
      expect((await target.ask('POST', 'auth/token/revoke-self', { token })).status).toBe(204);
      await target.expectLeaseGone(read.body.lease_id);
    });

    it('of one can never have a lease', async () => {
      const { status, body } = await target.readDynamic(await target.tokenOf('once'));
      expect(status).toBe(400);
      expect(body.errors?.[0]).toContain('token had one use left, so leased credentials were immediately revoked');
    });

    it('pays for a refused call too', async () => {
      const token = await target.tokenOf('twice');
      expect((await target.ask('GET', `${target.mark}-kv1/hidden`, { token })).status).toBe(403);
      expect((await target.readDynamic(token)).status).toBe(400);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });
  });

  describe('a lease', () => {
    it.each(['renew', 'lookup'])('is not named by an empty id: %s', async (verb) => {
      const { status, body } = await target.ask('PUT', `sys/leases/${verb}`, { token: target.root, body: {} });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['lease_id must be specified']);
    });

    it('that was never there is revoked without complaint', async () => {
      const lease_id = `${target.dynamic.path}/nothing`;
      const revoke = async (more: object): Promise<number> =>
        (await target.ask('PUT', 'sys/leases/revoke', { token: target.root, body: { lease_id, ...more } })).status;
      expect(await revoke({ sync: true })).toBe(204);
      expect(await revoke({ sync: false })).toBe(202);
    });

    it('is looked up and listed while it lives', async () => {
      const read = await target.readDynamic(await target.tokenOf('agent'));
      const { body } = await target.lookupLease(read.body.lease_id);
      expect(body.data).toMatchObject({ id: read.body.lease_id, last_renewal: null });
      if (target.product === 'openbao') expect(body.data).toMatchObject({ path: target.dynamic.path });
      expect(body.data?.['ttl']).toBeGreaterThan(580);
      const listed = await target.ask('LIST', `sys/leases/lookup/${target.dynamic.path}`, { token: target.root });
      const id = String(read.body.lease_id).slice(target.dynamic.path.length + 1);
      expect(listed.body.data?.['keys']).toContain(id);
    });

    it('is shown with id, duration and data', async () => {
      const { status, body } = await target.readDynamic(await target.tokenOf('agent'));
      expect(status).toBe(200);
      expect(body.lease_id).toMatch(new RegExp(`^${target.dynamic.path}/.+`));
      expect(body.renewable).toBe(false);
      expect(body.lease_duration).toBeGreaterThan(590);
      expect(body.lease_duration).toBeLessThanOrEqual(600);
      expect(body.data).not.toBeNull();
      const { body: found } = await target.lookupLease(body.lease_id);
      expect(found.data).toMatchObject({ id: body.lease_id, renewable: false });
    });

    it('that is not renewable cannot be renewed', async () => {
      const token = await target.tokenOf('agent');
      const read = await target.readDynamic(token);
      const { status, body } = await target.ask('PUT', 'sys/leases/renew', {
        token,
        body: { lease_id: read.body.lease_id },
      });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['lease is not renewable']);
    });

    it('that does not exist cannot be renewed', async () => {
      const lease_id = `${target.dynamic.path}/nothing`;
      const { status, body } = await target.ask('PUT', 'sys/leases/renew', { token: target.root, body: { lease_id } });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['lease not found']);
    });

    it('dies with the token that asked for it', async () => {
      const token = await target.tokenOf('agent');
      const read = await target.readDynamic(token);
      expect((await target.lookupLease(read.body.lease_id)).status).toBe(200);
      await target.ask('POST', 'auth/token/revoke-self', { token });
      await target.expectLeaseGone(read.body.lease_id);
    });

    it('can be revoked by its id, by whoever may', async () => {
      const token = await target.tokenOf('agent');
      const lease_id = (await target.readDynamic(token)).body.lease_id;
      const mayNot = await target.ask('PUT', 'sys/leases/revoke', { token, body: { lease_id } });
      expect(mayNot.status).toBe(403);
      const { status } = await target.ask('PUT', 'sys/leases/revoke', {
        token: target.root,
        body: { lease_id, sync: true },
      });
      expect(status).toBe(204);
      expect((await target.lookupLease(lease_id)).status).toBe(400);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
    });

    it('under a batch token is cut to the time that the token has', async () => {
      const token = await target.tokenOf('batch');
      const { body } = await target.readDynamic(token);
      expect(body.lease_duration).toBeLessThanOrEqual(300);
      const { status, body: answer } = await target.ask('POST', 'auth/token/revoke-self', { token });
      expect(status).toBe(400);
      expect(answer.errors).toEqual(['batch tokens cannot be revoked']);
    });
  });

  describe('the last use of a limited token', () => {
    it('is shown as none left, and cannot renew the token', async () => {
      const token = await target.tokenOf('twice');
      const first = await target.ask('GET', 'auth/token/lookup-self', { token });
      expect(first.body.data).toMatchObject({ num_uses: 1 });
      const renewal = await target.ask('POST', 'auth/token/renew-self', { token, body: {} });
      expect(renewal.status).toBe(400);
      expect(renewal.body.errors).toEqual(['token not found']);
      const shown = await target.ask('GET', 'auth/token/lookup-self', { token: await target.tokenOf('once') });
      expect(shown.body.data).toMatchObject({ num_uses: -1 });
    });

    it('still gives an answer that has no lease', async () => {
      await target.configure(`${target.mark}-kv2/data/once`, { data: { api_key: 'k' } });
      const token = await target.tokenOf('once');
      const { status, body } = await target.ask('GET', `${target.mark}-kv2/data/once`, { token });
      expect(status).toBe(200);
      expect(body.data).toMatchObject({ data: { api_key: 'k' } });
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });

    it('ends the token by revoke-self as well', async () => {
      const token = await target.tokenOf('once');
      expect((await target.ask('POST', 'auth/token/revoke-self', { token })).status).toBe(204);
      expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(403);
    });

    it('makes no children', async () => {
      await target.role('maker', { token_policies: ['root-less'], token_num_uses: 2 });
      const policy = 'path "auth/token/create" { capabilities = ["update"] }';
      await target.configure('sys/policies/acl/root-less', { policy });
      const token = await target.tokenOf('maker');
      const { status, body } = await target.ask('POST', 'auth/token/create', { token, body: {} });
      await target.ask('DELETE', 'sys/policies/acl/root-less', { token: target.root });
      expect(status).toBe(400);
      expect(body.errors).toEqual(['restricted use token cannot generate child tokens']);
    });
  });

  describe('the OpenAI engine', () => {
    it('gives a key with its account, and takes both back with the token', async ({ skip }) => {
      if (target.openai === 'absent') skip('this server has no openai engine');
      const token = await target.tokenOf('agent');
      const { body } = await target.readDynamic(token);
      const made = Object.keys(body.data ?? {}).sort();
      expect(made).toEqual(['api_key', 'api_key_id', 'service_account', 'service_account_id']);
      expect(body).toMatchObject({ renewable: false, lease_duration: 600 });
      const account = String(body.data?.['service_account_id']);
      if (target.openai === 'plugin') expect(target.openaiAdmin.accounts.get(account)).toBe(body.data?.['api_key']);
      await target.ask('POST', 'auth/token/revoke-self', { token });
      await target.expectLeaseGone(body.lease_id);
      expect(target.openaiAdmin.accounts.has(account)).toBe(false);
    });

    it('takes a shorter ttl, ignores one at or above the maximum, and refuses a role that is not there', async ({
      skip,
    }) => {
      if (target.openai === 'absent') skip('this server has no openai engine');
      const token = await target.tokenOf('agent');
      const read = (rest: string) => target.ask('GET', `${target.mark}-dyn/creds/${rest}`, { token });
      expect((await read('agent?ttl=5m')).body.lease_duration).toBe(300);
      expect((await read('agent?ttl=1h')).body.lease_duration).toBe(600);
      const { status, body } = await read('nobody');
      expect(status).toBe(400);
      expect(body.errors).toEqual(['role "nobody" does not exist']);
    });

    it.for<[object, string]>([
      [{}, 'admin_api_key is required'],
      [{ admin_api_key: 'a' }, 'admin_api_key_id is required'],
      [{ admin_api_key: 'a', admin_api_key_id: 'b' }, 'organization_id is required'],
    ])('refuses the configuration %j', async ([config, error], { skip }) => {
      if (target.openai === 'absent') skip('this server has no openai engine');
      // a mount of its own, for a configuration is completed by the former one
      const mount = `${target.mark}-other`;
      const { root } = target;
      const types = ['openai', 'vault-plugin-secrets-openai'];
      for (const type of types) await target.ask('POST', `sys/mounts/${mount}`, { token: root, body: { type } });
      const { status, body } = await target.ask('POST', `${mount}/config`, { token: root, body: config });
      await target.ask('DELETE', `sys/mounts/${mount}`, { token: root });
      expect(status).toBe(400);
      expect(body.errors).toEqual([error]);
    });
  });

  describe('the AWS engine', () => {
    it('gives a session whose lease cannot be renewed', async ({ skip }) => {
      if (target.aws === 'absent') skip('this server has no aws engine');
      const token = await target.tokenOf('agent');
      const { status, body } = await target.ask('GET', `${target.mark}-aws/sts/session`, { token });
      expect(status).toBe(200);
      expect(body.renewable).toBe(false);
      expect(body.lease_duration).toBeGreaterThan(890);
      expect(body.lease_duration).toBeLessThanOrEqual(900);
      for (const field of ['access_key', 'secret_key', 'security_token', 'arn']) {
        expect(body.data?.[field]).toEqual(expect.any(String));
      }
      expect(body.data?.['ttl']).toBeGreaterThan(890);
      const renewal = await target.ask('PUT', 'sys/leases/renew', { token, body: { lease_id: body.lease_id } });
      expect(renewal.status).toBe(400);
      expect(renewal.body.errors).toEqual(['lease is not renewable']);
    });

    it('cuts the ttl of a session to the maximum of its role', async ({ skip }) => {
      if (target.aws === 'absent') skip('this server has no aws engine');
      const token = await target.tokenOf('agent');
      const { body } = await target.ask('GET', `${target.mark}-aws/sts/session?ttl=9h`, { token });
      expect(body.lease_duration).toBeGreaterThan(3590);
      expect(body.lease_duration).toBeLessThanOrEqual(3600);
    });

    it('gives a user whose lease can be renewed up to its maximum, and who ends with it', async ({ skip }) => {
      if (target.aws === 'absent') skip('this server has no aws engine');
      const token = await target.tokenOf('agent');
      const { body } = await target.ask('GET', `${target.mark}-aws/creds/user`, { token });
      expect(body).toMatchObject({ renewable: true, lease_duration: 600, data: { security_token: null } });
      const { lease_id } = body;
      const keys = (): readonly unknown[] => [...target.awsControl.users.values()];
      if (target.aws === 'plugin') expect(keys()).toContain(body.data?.['access_key']);
      const ask = { token, body: { lease_id, increment: 1200 } };
      const renewed = await target.ask('PUT', 'sys/leases/renew', ask);
      expect(renewed.body).toMatchObject({ lease_id, renewable: true, lease_duration: 1200, data: null });
      const most = await target.ask('PUT', 'sys/leases/renew', { token, body: { lease_id, increment: 90_000 } });
      expect(most.body.lease_duration).toBeGreaterThan(3500);
      expect(most.body.lease_duration).toBeLessThanOrEqual(3600);
      expect((most.body['warnings'] as readonly string[])[0]).toContain('exceeded the effective max_ttl');
      await target.ask('POST', 'auth/token/revoke-self', { token });
      await target.expectLeaseGone(lease_id);
      expect(keys()).not.toContain(body.data?.['access_key']);
    });
  });
});
