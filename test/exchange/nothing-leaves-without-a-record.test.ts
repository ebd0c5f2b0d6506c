import { describe, expect, it } from 'vitest';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

describe('nothing leaves without a record', () => {
  it(
    'the sink is dead: refused, the credential given back, and served when it lives again',
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      audit.dies();
      await workload.opens('api.openai.com:443');
      for (let i = 0; i < 2; i++) {
        workload.sends('GET /v1/models');
        await workload.receives(503, { code: 'audit_unavailable' });
        await audit.has('completion failed audit_unavailable 503');
        expect(inUse()).toBe(0);
      }
      await upstream.seesNothing();
      audit.recovers();
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    }),
  );

  it(
    'the intent says who, what, by which rule, on which lease, and nothing that is secret',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models?after=secret-cursor', 'X-Note: do-not-record');
      await upstream.sees('GET /v1/models?after=secret-cursor');
      const intent = audit.lines.find((line) => line['kind'] === 'intent');
      expect(intent).toMatchObject({
        spiffeId: 'spiffe://test.example/agent',
        evidence: ['token:instance'],
        method: 'GET',
        authority: 'api.openai.com:443',
        path: '/v1/models',
        service: 'openai-api',
        rule: 'agents/1',
        binding: 'agent-openai',
        source: 'vault-openai',
        lease: 'openai/creds/agent/lease',
        accessor: 'accessor-1',
        generation: 1,
        injected: 'bearer',
      });
      expect(JSON.stringify(audit.lines)).not.toMatch(/secret-cursor|do-not-record/);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    }),
  );
});
