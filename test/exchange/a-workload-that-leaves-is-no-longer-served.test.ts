import { describe, expect, it } from 'vitest';
import { quiet } from './actors.ts';
import { playbook } from './playbook.ts';

const KEY = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';

describe('a workload that leaves is no longer served', () => {
  it(
    'in the middle of the response: the upstream is cut off, the credential given back',
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/responses', '', '{"stream":true}');
      await upstream.sees('POST /v1/responses');
      upstream.begins(200, 'Content-Type: text/event-stream');
      upstream.goesOn('data: one\n\n');
      await workload.receivesHead(200);
      expect(inUse()).toBe(1);
      workload.leaves();
      await audit.has('intent bearer', 'completion aborted downstream_aborted 200');
      expect(upstream.wasCancelled).toBe(true);
      expect(inUse()).toBe(0);
    }),
  );

  it(
    'before the head of the response',
    playbook(async ({ vault, workload, upstream, audit, inUse }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models');
      workload.leaves();
      await audit.has('intent bearer', 'completion aborted downstream_aborted 0');
      expect(inUse()).toBe(0);
    }),
  );

  it(
    'in the middle of its own body: the upstream is not told that the body was whole',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/files', 'Content-Length: 100');
      workload.goesOn('the first half');
      await upstream.sees('POST /v1/files');
      workload.leaves();
      await audit.has('intent bearer', 'completion aborted downstream_aborted 0');
      await expect(upstream.seesBody('')).rejects.toThrow('downstream_aborted');
    }),
  );

  it(
    'between two requests, or before the first: that is no refusal',
    playbook(async ({ workload, upstream, audit }) => {
      await workload.opens('api.openai.com:443');
      workload.leaves();
      await quiet();
      await upstream.seesNothing();
      expect(audit.unread()).toEqual([]);
    }),
  );
});
