import { describe, expect, it } from 'vitest';
import { playbook, type World } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';
const MINUTE = 60_000;

/** A request that must fail for want of a credential, and nobody but the workload and the record learns of it. */
async function isRefused(world: World, code: string, isRetryable: boolean): Promise<void> {
  const { workload, upstream, audit, inUse } = world;
  workload.sends('GET /v1/models', `Authorization: Bearer ${workload.apiKey}`);
  const head = await workload.receives(503, { code });
  expect(head.headers.has('retry-after')).toBe(isRetryable);
  expect(head.headers.get('proxy-status')).toBe(`countersign; error=proxy_internal_error; details="${code}"`);
  await audit.has(`completion failed ${code} 503`);
  await upstream.seesNothing(0);
  expect(inUse()).toBe(0);
}

describe('without a credential nothing leaves', () => {
  it(
    'Vault is down',
    playbook(async (world) => {
      world.vault.isDown();
      await world.workload.opens('api.openai.com:443');
      await isRefused(world, 'credential_unavailable', true);
    }),
  );

  it(
    'Vault is sealed, and serves again when it is not',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, clock } = world;
      vault.answers(503);
      await workload.opens('api.openai.com:443');
      await isRefused(world, 'credential_unavailable', true);
      vault.grants({ api_key: KEY });
      await clock.advance(MINUTE);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    }),
  );

  it.each([400, 403])('Vault refuses the role with %i', (status) =>
    playbook(async (world) => {
      world.vault.answers(status);
      await world.workload.opens('api.openai.com:443');
      await isRefused(world, 'credential_denied', false);
    })(),
  );

  it(
    'Vault refuses the read: the token that was got for it is revoked',
    playbook(async (world) => {
      world.vault.answers(403, 'read');
      await world.workload.opens('api.openai.com:443');
      await isRefused(world, 'credential_denied', false);
      expect(world.vault.asked.at(-1)).toBe('revoke');
    }),
  );

  it(
    'Vault hands out what would end a header field',
    playbook(async (world) => {
      world.vault.grants({ api_key: `${KEY}\r\nX-Smuggled: yes` });
      await world.workload.opens('api.openai.com:443');
      await isRefused(world, 'credential_invalid', false);
    }),
  );

  it(
    'Vault is down: the lease that is there serves until it ends, and then nothing does',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, clock } = world;
      vault.grants({ api_key: KEY }, 10 * MINUTE);
      await workload.opens('api.openai.com:443');
      const passes = async (): Promise<void> => {
        workload.sends('GET /v1/models');
        await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
        upstream.answers(204);
        await workload.receives(204);
        await audit.has('intent bearer', 'completion completed 204');
      };
      await passes();
      vault.isDown();
      await clock.advance(8 * MINUTE);
      await passes();
      await clock.advance(2 * MINUTE);
      workload.sends('GET /v1/models');
      await workload.receives(503, { code: 'credential_expired' });
      await audit.has('completion failed credential_expired 503');
      await upstream.seesNothing(2);
    }),
  );
});
