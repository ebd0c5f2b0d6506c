import { describe, expect, it } from 'vitest';
import { playbook, type World } from './playbook.ts';

const OLD = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';
const NEW = 'sk-live-H3cY6jF1qPtV5rUe9GaN';
const EXPIRED =
  '{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","code":"invalid_api_key"}}';
const OTHER = '{"error":{"message":"invalid_api_key is what you wrote","code":"insufficient_permissions"}}';
const JSON_TYPE = 'Content-Type: application/json';
const SECOND = 1_000;

/** A tunnel, and a lease that is used for a while already. */
async function seasoned(world: World): Promise<void> {
  const { vault, workload, upstream, audit, clock } = world;
  vault.grants({ api_key: OLD });
  await workload.opens('api.openai.com:443');
  workload.sends('GET /v1/models');
  await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
  upstream.answers(204);
  await workload.receives(204);
  await audit.has('intent bearer', 'completion completed 204');
  await clock.advance(60 * SECOND);
  vault.grants({ api_key: NEW });
}

const loginsOf = ({ vault }: World): number => vault.asked.filter((call) => call.startsWith('login')).length;

describe('a key that has expired is replaced once', () => {
  it(
    'without a body',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${NEW}`);
      upstream.answers(200, '', 'models');
      await workload.receives(200, 'models');
      await audit.has('intent bearer', 'intent bearer', 'completion completed 200');
      const [first, second] = audit.lines.slice(-3);
      expect(first).not.toHaveProperty('refusedStatus');
      expect(second).toMatchObject({ refusedStatus: 401, generation: 2, exchange: first?.['exchange'] });
      expect(loginsOf(world)).toBe(2);
      expect(world.inUse()).toBe(0);
    }),
  );

  it(
    'with a body that was sent already, all of it again',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('POST /v1/chat/completions', '', '{"model":"m"}');
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${OLD}`);
      await upstream.seesBody('{"model":"m"}');
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${NEW}`);
      await upstream.seesBody('{"model":"m"}');
      upstream.answers(200, '', 'done');
      await workload.receives(200, 'done');
      await audit.has('intent bearer', 'intent bearer', 'completion completed 200');
    }),
  );

  it(
    'with a body of which the rest is still on its way',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('POST /v1/chat/completions', 'Content-Length: 8', '', 'half');
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${OLD}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${NEW}`);
      workload.goesOn('more');
      await upstream.seesBody('halfmore');
      upstream.answers(200, '', 'done');
      await workload.receives(200, 'done');
      await audit.has('intent bearer', 'intent bearer', 'completion completed 200');
    }),
  );

  it(
    'once: a second refusal is the answer',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${NEW}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(401, EXPIRED);
      await audit.has('intent bearer', 'intent bearer', 'completion completed 401');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${NEW}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(401, EXPIRED);
      await audit.has('intent bearer', 'completion completed 401');
      expect(loginsOf(world)).toBe(2);
    }),
  );

  it(
    'not where it was just obtained',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants({ api_key: OLD });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(401, EXPIRED);
      await audit.has('intent bearer', 'completion completed 401');
      expect(loginsOf(world)).toBe(1);
    }),
  );

  it.each([
    ['another 401', 401, OTHER],
    ['a 403 with the words of a 401', 403, EXPIRED],
    ['words that are no error object', 401, 'invalid_api_key'],
  ])('not for %s, which passes as it is', (_name, status, body) =>
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      upstream.answers(status, JSON_TYPE, '', body);
      await workload.receives(status, body);
      await audit.has('intent bearer', `completion completed ${status}`);
      expect(loginsOf(world)).toBe(1);
    })(),
  );

  it(
    'not where the body is too large to be kept',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      const large = 'x'.repeat(300_000);
      workload.sends('POST /v1/chat/completions', '', large);
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${OLD}`);
      await upstream.seesBody(large);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(401, EXPIRED);
      await audit.has('intent bearer', 'completion completed 401');
      expect(loginsOf(world)).toBe(1);
    }),
  );

  it(
    'the upstream’s own answer stands where Vault has no other key',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      await seasoned(world);
      vault.isDown();
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(401, EXPIRED);
      await audit.has('intent bearer', 'completion completed 401');
      expect(world.inUse()).toBe(0);
    }),
  );

  it(
    'nothing leaves the second time without a record',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await seasoned(world);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${OLD}`);
      audit.dies();
      upstream.answers(401, JSON_TYPE, '', EXPIRED);
      await workload.receives(503, { code: 'audit_unavailable' });
      audit.recovers();
      await upstream.seesNothing(2);
      await audit.has('intent bearer', 'completion failed audit_unavailable 503');
    }),
  );
});
