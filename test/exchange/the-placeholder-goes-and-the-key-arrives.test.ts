import { describe, expect, it } from 'vitest';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

describe('the placeholder goes and the key arrives', () => {
  it(
    'a GET, with a login as the workload before it',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models', `Authorization: Bearer ${workload.apiKey}`, 'OpenAI-Beta: x');
      const lines = await upstream.sees('GET /v1/models', 'Host: api.openai.com', `Authorization: Bearer ${KEY}`);
      expect(lines).toContain('OpenAI-Beta: x');
      expect(vault.asked).toEqual([
        'login openai with a JWT of spiffe://test.example/agent',
        'read openai/creds/agent',
      ]);
      upstream.answers(200, 'Content-Type: application/json', '', '{"data":[]}');
      const head = await workload.receives(200, '{"data":[]}');
      expect(head.headers.get('content-type')).toBe('application/json');
      await audit.has('intent bearer', 'completion completed 200');
    }),
  );

  it(
    'a POST, whose body passes as it is',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/chat/completions', `Authorization: Bearer ${workload.apiKey}`, '', '{"model":"m"}');
      await upstream.sees('POST /v1/chat/completions', 'Content-Length: 13', `Authorization: Bearer ${KEY}`);
      await upstream.seesBody('{"model":"m"}');
      upstream.answers(201, '', 'made');
      await workload.receives(201, 'made');
      await audit.has('intent bearer', 'completion completed 201');
    }),
  );

  it(
    'without any key from the workload, and with one of its own that is thrown away',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      for (const field of [[], ['Authorization: Bearer sk-somebody-elses'], ['Cookie: session=somebody']]) {
        workload.sends('GET /v1/models', ...field);
        const lines = await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
        expect(lines.join('\n')).not.toContain('somebody');
        upstream.answers(204);
        await workload.receives(204, '');
        await audit.has('intent bearer', 'completion completed 204');
      }
    }),
  );

  it(
    'ten requests on one tunnel share one lease',
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      for (let i = 0; i < 10; i++) {
        workload.sends(`GET /v1/models/${i}`);
        await upstream.sees(`GET /v1/models/${i}`, `Authorization: Bearer ${KEY}`);
        expect(inUse()).toBe(1);
        upstream.answers(200, '', 'ok');
        await workload.receives(200, 'ok');
        await audit.has('intent bearer', 'completion completed 200');
        expect(inUse()).toBe(0);
      }
      expect(vault.asked.filter((call) => call.startsWith('login'))).toHaveLength(1);
    }),
  );

  it(
    'a stream passes piece by piece, before it has ended',
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/responses', '', '{"stream":true}');
      await upstream.sees('POST /v1/responses');
      upstream.begins(200, 'Content-Type: text/event-stream');
      upstream.goesOn('data: one\n\n');
      await workload.receivesHead(200);
      await expect.poll(() => workload.received()).toContain('data: one');
      expect(inUse()).toBe(1);
      upstream.goesOn('data: two\n\n');
      await expect.poll(() => workload.received()).toContain('data: two');
      upstream.ends();
      await audit.has('intent bearer', 'completion completed 200');
    }),
  );
});

describe('where no binding is there is nothing to inject', () => {
  it(
    'the request passes, is on record, and asks no Vault',
    playbook(async ({ vault, workload, upstream, audit }) => {
      await workload.opens('open.example.net:443');
      workload.sends('GET /');
      const lines = await upstream.sees('GET /');
      expect(lines.join('\n')).not.toMatch(/authorization/i);
      upstream.answers(200, '', 'open');
      await workload.receives(200, 'open');
      await audit.has('intent none', 'completion completed 200');
      expect(vault.asked).toEqual([]);
    }),
  );
});
