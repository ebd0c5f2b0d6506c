/** One suite for two servers: the key/value engines. See contract-target.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContractTarget, TARGETS } from './contract-target.ts';

describe.each(TARGETS)('the %s Vault', (kind) => {
  let target: ContractTarget;
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
  });
  afterAll(() => target?.close());

  describe('key/value', () => {
    it('version 1 gives back what was written, with a duration but no lease', async () => {
      await target.configure(`${target.mark}-kv1/static`, { token: 'abc', note: 'é' });
      const { status, body } = await target.ask('GET', `${target.mark}-kv1/static`, {
        token: await target.tokenOf('agent'),
      });
      expect(status).toBe(200);
      expect(body).toMatchObject({ lease_id: '', renewable: false, data: { token: 'abc', note: 'é' } });
      expect(body.lease_duration).toBeGreaterThan(0);
    });

    it('version 1 takes the duration from a field ttl', async () => {
      await target.configure(`${target.mark}-kv1/short`, { token: 'abc', ttl: '30m' });
      expect((await target.ask('GET', `${target.mark}-kv1/short`, { token: target.root })).body.lease_duration).toBe(
        1800,
      );
    });

    it('version 1 lists by LIST and by ?list=true', async () => {
      await target.configure(`${target.mark}-kv1/folder/one`, { a: 1 });
      const listed = await target.ask('LIST', `${target.mark}-kv1/folder`, { token: target.root });
      expect(listed.body.data).toEqual({ keys: ['one'] });
      expect(
        (await target.ask('GET', `${target.mark}-kv1/folder?list=true`, { token: target.root })).body.data,
      ).toEqual({ keys: ['one'] });
    });

    it('version 2 gives back the newest version with its metadata', async () => {
      await target.configure(`${target.mark}-kv2/data/key`, { data: { api_key: 'first' } });
      await target.configure(`${target.mark}-kv2/data/key`, { data: { api_key: 'second' }, options: { cas: 1 } });
      const { body } = await target.ask('GET', `${target.mark}-kv2/data/key`, { token: await target.tokenOf('agent') });
      expect(body.data).toMatchObject({ data: { api_key: 'second' }, metadata: { version: 2, destroyed: false } });
      expect(body).toMatchObject({ lease_id: '', renewable: false, lease_duration: 0 });
      const former = await target.ask('GET', `${target.mark}-kv2/data/key?version=1`, { token: target.root });
      expect(former.body.data).toMatchObject({ data: { api_key: 'first' }, metadata: { version: 1 } });
    });

    it('version 2 refuses a write that does not follow the current version', async () => {
      await target.configure(`${target.mark}-kv2/data/cas`, { data: { a: '1' } });
      const body = { data: { a: '2' }, options: { cas: 7 } };
      const reply = await target.ask('POST', `${target.mark}-kv2/data/cas`, { token: target.root, body });
      expect(reply.status).toBe(400);
      expect(reply.body.errors).toEqual(['check-and-set parameter did not match the current version']);
    });

    it('version 2 answers 404 with metadata for a version that was deleted', async () => {
      await target.configure(`${target.mark}-kv2/data/gone`, { data: { a: '1' } });
      expect((await target.ask('DELETE', `${target.mark}-kv2/data/gone`, { token: target.root })).status).toBe(204);
      const { status, body } = await target.ask('GET', `${target.mark}-kv2/data/gone`, { token: target.root });
      expect(status).toBe(404);
      const deletion_time = expect.stringMatching(/^\d{4}-/);
      expect(body.data).toMatchObject({ data: null, metadata: { version: 1, destroyed: false, deletion_time } });
    });

    it('takes no path that ends in a slash', async () => {
      for (const path of ['kv1/', 'kv2/data/']) {
        const body = { data: { a: 'b' } };
        const reply = await target.ask('POST', `${target.mark}-${path}`, { token: target.root, body });
        expect(reply.status).toBe(400);
        expect(reply.body.errors).toEqual(["cannot write to a path ending in '/'"]);
      }
    });

    it('version 2 has its data below data/ and its lists below metadata/', async () => {
      const { root, mark } = target;
      const bare = await target.ask('GET', `${mark}-kv2/key`, { token: root });
      expect(bare.status).toBe(404);
      const [warning] = bare.body['warnings'] as readonly string[];
      expect(warning).toContain('Invalid path for a versioned K/V secrets engine.');
      expect((await target.ask('LIST', `${mark}-kv2/data`, { token: root })).status).toBe(
        target.product === 'vault' ? 404 : 405,
      );
      await target.configure(`${mark}-kv2/data/listed`, { data: { a: '1' } });
      const { body } = await target.ask('LIST', `${mark}-kv2/metadata`, { token: root });
      expect(body.data?.['keys']).toContain('listed');
    });

    it('version 2 patches with a merge patch only', async () => {
      const { root, mark } = target;
      await target.configure(`${mark}-kv2/data/patched`, { data: { a: '1', b: '2' } });
      const patch = (type: string) =>
        target.ask('PATCH', `${mark}-kv2/data/patched`, {
          token: root,
          body: { data: { a: null, c: '3' } },
          headers: { 'content-type': type },
        });
      expect((await patch('application/json')).status).toBe(415);
      expect((await patch('application/merge-patch+json')).status).toBe(200);
      const { body } = await target.ask('GET', `${mark}-kv2/data/patched`, { token: root });
      expect(body.data?.['data']).toEqual({ b: '2', c: '3' });
    });
  });
});
