import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

it('the AWS SDKs work unchanged, their signatures made anew, and hold no real secret at their end', {
  timeout: 90_000,
}, async () => {
  const agent = await sandboxed.runAgent('aws.ts');
  expect(agent.stderr).toBe('');
  const results = JSON.parse(agent.stdout.split('\n')[0] ?? '') as Record<string, unknown>;
  expect(results).toMatchObject({
    arn: expect.stringMatching(/^arn:aws:/),
    assumed: { status: 403 },
    roundTrips: [true, true, true],
    item: 'hello',
    converse: expect.stringMatching(/\S/),
  });
  expect(results['keys']).toEqual(expect.arrayContaining(['a b/+ü//../key.bin', 'multipart.bin', 'streamed.bin']));
  expect(results['events']).toBeGreaterThan(0);
  expect(agent.secretsKnown).toBeGreaterThan(0);
  expect(agent.placeholdersFound).toBe(1);
  expect(agent.secretsFound).toEqual([]);
});

it('an uploader that signs each chunk works, and one whose chunk was changed is refused', async () => {
  const agent = await sandboxed.runAgent('signed-chunks.ts');
  const results = JSON.parse(agent.stdout.split('\n')[0] ?? '') as Record<string, unknown>;
  expect(results).toMatchObject({ good: 200, isWhole: true, bad: 403 });
  expect(results['why']).toContain('the signature of a chunk does not match');
  expect(agent.secretsFound).toEqual([]);
}, 60_000);

it('every payload mode was signed as it was announced', () => {
  const ways = new Set(
    sandboxed
      .auditLines()
      .map((line) => line['injected'])
      .filter(Boolean),
  );
  expect([...ways].join('\n')).toMatch(/sigv4 sts\/us-east-1/);
  expect([...ways].join('\n')).toMatch(/sigv4 s3\/us-east-1/);
  expect([...ways].join('\n')).toMatch(/sigv4 dynamodb\/us-east-1/);
  expect([...ways].join('\n')).toMatch(/sigv4 bedrock\/us-east-1/);
});
