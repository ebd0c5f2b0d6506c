import { describe, it } from 'vitest';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';
const EXPECT = 'Expect: 100-continue';

describe('100 Continue is said after the decision', () => {
  it(
    'and after the credential and the record',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/files', EXPECT, 'Content-Length: 5');
      await workload.receives(100);
      await audit.has('intent bearer');
      await upstream.sees('POST /v1/files', `Authorization: Bearer ${KEY}`);
      workload.goesOn('hello');
      await upstream.seesBody('hello');
      upstream.answers(200, '', 'stored');
      await workload.receives(200, 'stored');
      await audit.has('completion completed 200');
    }),
  );

  it(
    'never where the request is denied: the body is not even asked for',
    playbook(async ({ workload, upstream, audit }) => {
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v2/files', EXPECT, 'Content-Length: 5');
      await workload.receives(403, { code: 'rule_missing' });
      await workload.seesTheEnd();
      await audit.has('completion denied rule_missing 403');
      await upstream.seesNothing();
    }),
  );

  it(
    'never where no credential is to be had, nor where nothing can be recorded',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.isDown();
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/files', EXPECT, 'Content-Length: 5');
      await workload.receives(503, { code: 'credential_unavailable' });
      await workload.seesTheEnd();
      await audit.has('completion failed credential_unavailable 503');

      audit.dies();
      await workload.opens('open.example.net:443');
      workload.sends('GET /', EXPECT, 'Content-Length: 5');
      await workload.receives(503, { code: 'audit_unavailable' });
      await audit.has('completion failed audit_unavailable 503');
      await upstream.seesNothing();
    }),
  );
});
