import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

it('the @anthropic-ai/sdk package works unchanged, and holds no real secret at its end', {
  timeout: 60_000,
}, async () => {
  const agent = await sandboxed.runAgent('anthropic.ts');
  expect(agent.stderr).toBe('');
  const results = JSON.parse(agent.stdout.split('\n')[0] ?? '') as { answer: { text: string }[]; streamed: string };
  expect(results.answer[0]?.text).toMatch(/\S/);
  expect(results.streamed).toMatch(/\S/);
  expect(agent.secretsKnown).toBeGreaterThan(0);
  expect(agent.placeholdersFound).toBe(1);
  expect(agent.secretsFound).toEqual([]);
});
