import { describe, expect, it } from 'vitest';
import { playbook } from './playbook.ts';

describe('a host that policy does not name gets no tunnel', () => {
  it(
    'an unknown host, and a known one at another port',
    playbook(async ({ vault, workload, upstream, audit }) => {
      for (const authority of ['example.com:443', 'api.openai.com:8443', '169.254.169.254:80']) {
        await workload.isRefused(authority, 403, 'destination_unknown');
        await audit.has('refusal denied destination_unknown');
      }
      await upstream.seesNothing();
      expect(vault.asked).toEqual([]);
    }),
  );

  it(
    'nor does a stranger, who is told nothing but 407',
    playbook(async ({ workload, audit }) => {
      await workload.isRefused('api.openai.com:443', 407, '', 'cs_wrong');
      await workload.isRefused('example.com:443', 407, '', 'cs_wrong');
      await audit.has('refusal failed identity_required', 'refusal failed identity_required');
      expect(workload.received()).toContain('Proxy-Authenticate: Basic realm="countersign"');
    }),
  );

  it(
    'and inside a tunnel no other host is asked for',
    playbook(async ({ workload, upstream, audit }) => {
      for (const host of ['open.example.net', 'api.openai.com:444', 'api.openai.com.example.net']) {
        await workload.opens('api.openai.com:443');
        workload.sends('GET /v1/models', `Host: ${host}`);
        await workload.receives(421, { code: 'authority_mismatch' });
        await workload.seesTheEnd();
        await audit.has('refusal failed authority_mismatch');
      }
      await upstream.seesNothing();
    }),
  );

  it(
    'nor is anything sent for what is malformed or smuggled',
    playbook(async ({ workload, upstream, audit }) => {
      const cases: [string[], number, string][] = [
        [['Content-Length: 3', 'Transfer-Encoding: chunked', '', '0\r\n\r\n'], 400, 'request_malformed'],
        [['Content-Length: 3', 'Content-Length: 4', '', 'abc'], 400, 'request_malformed'],
        [['Transfer-Encoding: identity, chunked', '', '0\r\n\r\n'], 501, 'request_method_unsupported'],
        [['Host: api.openai.com', 'Host: open.example.net'], 400, 'request_malformed'],
        [['Upgrade: websocket', 'Connection: upgrade'], 501, 'upgrade_unsupported'],
      ];
      for (const [rest, status, code] of cases) {
        await workload.opens('api.openai.com:443');
        workload.sends('POST /v1/responses', ...rest);
        await workload.receives(status, { code });
        await workload.seesTheEnd();
        await audit.has(`refusal failed ${code}`);
      }
      await upstream.seesNothing();
    }),
  );
});
