import { describe, expect, it } from 'vitest';
import { playbook, type World } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

async function passes({ workload, upstream, audit }: World): Promise<void> {
  workload.sends('GET /v1/models');
  await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
  upstream.answers(204);
  await workload.receives(204);
  await audit.has('intent bearer', 'completion completed 204');
}

describe('each request is judged anew on a tunnel that stays', () => {
  it(
    'the policy changes between two requests',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, reload } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      await passes(world);
      const before = audit.lines.find((line) => line['kind'] === 'intent')?.['revision'];
      reload((policy) => policy.replace('paths: [/v1/**], action: allow', 'paths: [/v1/files], action: allow'));
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'rule_missing' });
      await audit.has('completion denied rule_missing 403');
      expect(audit.lines.at(-1)?.['revision']).not.toBe(before);
      await upstream.seesNothing(1);
      reload((policy) => policy.replace('paths: [/v1/files]', 'paths: [/v1/**]'));
      await passes(world);
    }),
  );

  it(
    'the service leaves the policy, and so does the workload',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, reload } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      await passes(world);
      reload((policy) => policy.replace('address: api.openai.com', 'address: eu.api.openai.com'));
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'destination_unknown' });
      await audit.has('completion denied destination_unknown 403');
      reload((policy) => policy.replaceAll('workloadID: agent', 'workloadID: other').replace('[agent]', '[other]'));
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'workload_ended' });
      await audit.has('completion denied workload_ended 403');
      await upstream.seesNothing(1);
    }),
  );

  it('the token is revoked between two requests', async () => {
    const answers: (boolean | Promise<boolean>)[] = [];
    const script = async (world: World): Promise<void> => {
      const { vault, workload, upstream, audit } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      answers.push(true);
      await passes(world);
      answers.push(Promise.resolve(true));
      await passes(world);
      answers.push(Promise.resolve(false));
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'workload_ended' });
      await audit.has('completion denied workload_ended 403');
      await upstream.seesNothing(2);
      expect(answers).toEqual([]);
    };
    await playbook(script, { stillHolds: () => answers.shift() ?? true })();
  });

  it(
    'the instance ends between two requests',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, forgetInstance } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      await passes(world);
      forgetInstance();
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'workload_ended' });
      await audit.has('completion denied workload_ended 403');
      await workload.isRefused('api.openai.com:443', 407, '');
      await audit.has('refusal failed identity_required');
      await upstream.seesNothing(1);
    }),
  );

  it(
    'the instance is revoked: its tunnel closes, and with the last instance the lease that they shared is revoked',
    playbook(async (world) => {
      const { vault, workload, revokeInstance } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      await passes(world);
      await revokeInstance();
      expect(vault.asked.at(-1)).toBe('revoke');
      await workload.seesTheEnd();
    }),
  );

  it(
    'the instance is revoked in the middle of a response: the tunnel is cut, and its own lease revoked although it is in use',
    playbook(
      async ({ vault, workload, upstream, audit, inUse, revokeInstance }) => {
        vault.grants({ api_key: KEY });
        await workload.opens('api.openai.com:443');
        workload.sends('POST /v1/responses', '', '{"stream":true}');
        await upstream.sees('POST /v1/responses');
        upstream.begins(200, 'Content-Type: text/event-stream');
        upstream.goesOn('data: one\n\n');
        await workload.receivesHead(200);
        expect(inUse()).toBe(1);
        await revokeInstance();
        expect(vault.asked.at(-1)).toBe('revoke');
        await workload.seesTheEnd();
        await audit.has('intent bearer', 'completion aborted downstream_aborted 200');
        expect(upstream.wasCancelled).toBe(true);
        expect(inUse()).toBe(0);
      },
      { policy: (text) => text.replaceAll('credentialSource:', 'perInstance: true, credentialSource:') },
    ),
  );

  it(
    'the instance lives no longer than it was given',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, clock } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      await passes(world);
      await clock.advance(3_600_001);
      workload.sends('GET /v1/models');
      await workload.receives(403, { code: 'workload_ended' });
      await audit.has('completion denied workload_ended 403');
      await upstream.seesNothing(1);
    }),
  );

  it(
    'the lease is replaced between two requests: the second has the new key',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, clock } = world;
      const next = 'sk-live-J3hG6fD1sA0qWeRtYuIo';
      vault.grants({ api_key: KEY }, 60_000);
      await workload.opens('api.openai.com:443');
      await passes(world);
      vault.grants({ api_key: next });
      await clock.advance(60_000);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${next}`);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
      const generations = audit.lines.filter((line) => line['kind'] === 'intent').map((line) => line['generation']);
      expect(generations).toEqual([1, 2]);
    }),
  );
});
