import { describe, expect, it } from 'vitest';
import { quiet } from './actors.ts';
import { playbook } from './playbook.ts';

const OLD = 'sk-live-Q7vT2mX9pLrW4nZs8KbD';
const NEW = 'sk-live-H3cY6jF1qPtV5rUe9GaN';
const MINUTE = 60_000;

describe('a stream keeps the lease it began with', () => {
  it(
    'while another takes its place, and it is revoked when the stream ends',
    playbook(async ({ vault, workload, upstream, audit, clock }) => {
      vault.grants({ api_key: OLD }, 15 * MINUTE);
      await workload.opens('api.openai.com:443');
      workload.sends('POST /v1/chat/completions', '', '{"stream":true}');
      await upstream.sees('POST /v1/chat/completions', `Authorization: Bearer ${OLD}`);
      upstream.begins(200, 'Content-Type: text/event-stream');
      await workload.receivesHead(200);
      vault.grants({ api_key: NEW }, 15 * MINUTE);
      await clock.advance(10 * MINUTE);
      await quiet();
      const revocations = (): number => vault.asked.filter((call) => call === 'revoke').length;
      expect(vault.asked.filter((call) => call.startsWith('login'))).toHaveLength(2);
      expect(revocations()).toBe(0);
      upstream.goesOn('data: still there\n\n');
      upstream.ends();
      await workload.receivesRest('data: still there\n\n');
      await audit.has('intent bearer', 'completion completed 200');
      await quiet();
      expect(revocations()).toBe(1);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models', `Authorization: Bearer ${NEW}`);
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent bearer', 'completion completed 204');
    }),
  );
});
