import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

it('the openai package works unchanged, and holds no real secret at its end', { timeout: 60_000 }, async () => {
  const agent = await sandboxed.runAgent('openai.ts');
  expect(agent.stderr).toBe('');
  const results = JSON.parse(agent.stdout.split('\n')[0] ?? '') as Record<string, unknown>;
  expect(results).toMatchObject({
    answer: expect.stringMatching(/\S/),
    streamed: expect.stringMatching(/\S/),
    output: expect.stringMatching(/\S/),
    bytes: 360_000,
    roundTrip: true,
    deletion: { status: 403, code: 'rule_denied' },
  });
  expect(results['chunks']).toBeGreaterThan(2);
  expect(results['models']).not.toEqual([]);
  expect(agent.secretsKnown).toBeGreaterThan(0);
  expect(agent.placeholdersFound).toBe(1);
  expect(agent.secretsFound).toEqual([]);
});

it('every request stood on record before it left, as the workload, on a lease', () => {
  const lines = sandboxed.auditLines();
  const intents = lines.filter((line) => line['kind'] === 'intent' && line['service'] === 'openai-api');
  expect(intents.length).toBeGreaterThanOrEqual(6);
  for (const intent of intents) {
    expect(intent).toMatchObject({
      spiffeId: 'spiffe://quickstart.local/ai-agent',
      injected: 'bearer',
      lease: expect.stringMatching(/^openai\/creds\//),
    });
    const completion = lines.find((line) => line['kind'] === 'completion' && line['exchange'] === intent['exchange']);
    expect(completion).toMatchObject({ outcome: 'completed' });
    expect(Number(completion?.['seq'])).toBeGreaterThan(Number(intent['seq']));
  }
});

it('one login and one lease served all of it', () => {
  expect(sandboxed.proxy.sandbox?.vault.counters).toMatchObject({ logins: 1, reads: 1 });
  expect(
    new Set(
      sandboxed
        .auditLines()
        .map((line) => line['accessor'])
        .filter(Boolean),
    ).size,
  ).toBe(1);
});

it('the lease ended with the instance', () => {
  expect(sandboxed.proxy.leases()).toEqual([]);
  expect(sandboxed.proxy.sandbox?.vault.liveLeases().filter((lease) => lease.path.startsWith('openai/'))).toEqual([]);
});
