import { describe, expect, it } from 'vitest';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

describe('an echo of the key is scrubbed', () => {
  it(
    'from fields, from the body, in any common encoding, and it is counted',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      const lines = await upstream.sees('GET /v1/models', `Authorization: Bearer ${KEY}`);
      const bytes = Buffer.from(KEY);
      const echoes = [KEY, bytes.toString('base64'), bytes.toString('hex'), lines.join('|')];
      upstream.answers(200, `X-Echo: ${KEY}`, '', echoes.join('\n'));
      const head = await workload.receives(200);
      expect(head.headers.get('x-echo')).toMatch(/^\*+$/);
      // What `playbook` searches at the end would be in vain if nothing had come.
      expect(workload.received()).toContain('GET /v1/models HTTP/1.1|');
      await audit.has('intent bearer', 'completion completed 200');
      expect(audit.lines.at(-1)?.['scrubbed']).toBe(5);
    }),
  );

  it(
    'although it arrives byte by byte',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models');
      upstream.begins(200);
      await workload.receivesHead(200);
      for (const byte of `<${KEY}>`) upstream.goesOn(byte);
      upstream.ends();
      await audit.has('intent bearer', 'completion completed 200');
      expect(audit.lines.at(-1)?.['scrubbed']).toBe(1);
    }),
  );

  it(
    'and no session, no challenge and no other way out is handed on with it',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models');
      upstream.answers(
        302,
        'Set-Cookie: session=1',
        'Alt-Svc: h3=":443"',
        'Location: https://elsewhere.example/',
        '',
        '',
      );
      const head = await workload.receives(302);
      expect([...head.headers].map(({ key }) => key).filter((key) => ['set-cookie', 'alt-svc'].includes(key))).toEqual(
        [],
      );
      // A redirect is the workload's to follow, without the key.
      expect(head.headers.get('location')).toBe('https://elsewhere.example/');
      await upstream.seesNothing(1);
      await audit.has('intent bearer', 'completion completed 302');
    }),
  );
});
