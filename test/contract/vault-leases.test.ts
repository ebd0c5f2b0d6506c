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
});
