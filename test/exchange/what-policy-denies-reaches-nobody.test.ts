import { describe, expect, it } from 'vitest';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

describe('what policy denies reaches nobody', () => {
  it(
    'a path that no rule names, a method that a rule denies',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v2/models');
      await workload.receives(403, { code: 'rule_missing' });
      await audit.has('completion denied rule_missing 403');
      workload.sends('DELETE /v1/files/file-1');
      await workload.receives(403, { code: 'rule_denied' });
      await audit.has('completion denied rule_denied 403');
      await upstream.seesNothing();
      expect(vault.asked).toEqual([]);
      // The tunnel serves on.
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    }),
  );

  it(
    'a call that would hand out a key, although a rule allows its path',
    playbook(async ({ workload, upstream, audit }) => {
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/organization/admin_api_keys', '', '{}');
      await workload.receives(403, { code: 'mints_credentials' });
      await audit.has('completion denied mints_credentials 403');
      await upstream.seesNothing();
    }),
  );

  it(
    'a path that two servers could read differently',
    playbook(async ({ workload, upstream, audit }) => {
      await workload.opens('api.openai.com:443');
      for (const path of ['/v1/../admin', '/v1//models', '/v1/%2e%2e/admin']) {
        workload.sends(`GET ${path}`);
        await workload.receives(403, { code: 'path_ambiguous' });
        await audit.has('completion denied path_ambiguous 403');
      }
      await upstream.seesNothing();
    }),
  );

  it(
    'a placeholder where it does not belong',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends(`GET /v1/models?key=${workload.apiKey}`);
      await workload.receives(403, { code: 'placeholder_misplaced' });
      await audit.has('completion denied placeholder_misplaced 403');
      await workload.opens('open.example.net:443');
      workload.sends('GET /', `X-Key: ${workload.apiKey}`);
      await workload.receives(403, { code: 'placeholder_misplaced' });
      await audit.has('completion denied placeholder_misplaced 403');
      await upstream.seesNothing();
    }),
  );

  it(
    'a second request beside the one that the limit allows',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models');
      await workload.opens('open.example.net:443');
      workload.sends('GET /');
      const head = await workload.receives(429, { code: 'concurrency_limited' });
      expect(head.headers.get('retry-after')).toMatch(/^[1-9]/);
      upstream.answers(204);
      await audit.has('intent bearer', 'completion denied concurrency_limited 429', 'completion completed 204');
    }),
  );
});
