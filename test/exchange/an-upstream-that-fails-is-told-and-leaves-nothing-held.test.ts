import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/core/errors.ts';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

/** What the send stage throws before there is a response head. */
const BEFORE_THE_HEAD = [
  'dns_error',
  'dns_timeout',
  'destination_ip_prohibited',
  'destination_ip_unroutable',
  'connection_refused',
  'connection_timeout',
  'connection_terminated',
  'connection_limit_reached',
  'tls_certificate_error',
  'tls_protocol_error',
  'tls_alert_received',
  'http_response_timeout',
  'connection_write_timeout',
  'http_protocol_error',
  'http_response_transfer_coding',
  'http_response_header_section_size',
  'http_upgrade_failed',
] as const;

describe('an upstream that fails is told and leaves nothing held', () => {
  it.each(BEFORE_THE_HEAD)('%s before the head', (code) =>
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/responses', '', '{}');
      await upstream.sees('POST /v1/responses', `Authorization: Bearer ${KEY}`);
      expect(inUse()).toBe(1);
      upstream.fails(code);
      const { status, retryable } = ERRORS[code];
      const head = await workload.receives(status, { code });
      expect(head.headers.has('retry-after')).toBe(retryable);
      await audit.has('intent bearer', `completion failed ${code} ${status}`);
      expect(inUse()).toBe(0);
      // The tunnel serves on.
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models');
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    })(),
  );

  it.each(['http_response_incomplete', 'connection_read_timeout', 'http_protocol_error'] as const)(
    '%s in the middle of the body: the answer never looks complete',
    (code) =>
      playbook(async ({ vault, workload, upstream, audit, inUse }) => {
        vault.grants({ api_key: KEY });
        await workload.opens('api.openai.com:443');
        workload.sends('GET /v1/models');
        await upstream.sees('GET /v1/models');
        upstream.begins(200);
        upstream.goesOn('the first half, ');
        await workload.receivesHead(200);
        upstream.breaksOff(code);
        await workload.isCutOff();
        await audit.has('intent bearer', `completion failed ${code} 200`);
        expect(inUse()).toBe(0);
      })(),
  );

  it(
    'an encoded answer, in which no secret could be found',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', 'Accept-Encoding: identity');
      upstream.answers(200, 'Content-Encoding: gzip', '', 'not really');
      await workload.receives(502, { code: 'http_response_content_coding' });
      expect(upstream.wasCancelled).toBe(true);
      await audit.has('intent bearer', 'completion failed http_response_content_coding 502');
    }),
  );
});
