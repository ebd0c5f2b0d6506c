import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

it('the openai package, ws and the WebSocket of Node speak to a realtime model, with the key where each puts it', {
  timeout: 90_000,
}, async () => {
  const agent = await sandboxed.runAgent('realtime.ts');
  expect(agent.stderr).toBe('');
  const results = JSON.parse(agent.stdout.split('\n')[0] ?? '') as Record<string, Record<string, unknown>>;
  const said = { said: 'The sandbox heard: hello', first: 'session.created' };
  expect(results).toMatchObject({
    openai: said,
    ws: { ...said, protocol: 'realtime', extensions: '' },
    node: { ...said, protocol: 'realtime', extensions: '' },
    refused: '403',
  });
  // The upstream got the key in Authorization and nowhere else, and its echo came back without it.
  for (const name of ['openai', 'ws', 'node']) {
    const fields = (results[name] as { fields: [string, string][] }).fields.map(
      ([field, value]) => [field.toLowerCase(), value] as const,
    );
    expect(Object.fromEntries(fields)).toEqual({
      authorization: expect.stringMatching(/^Bearer \*{80,}$/),
      ...(name === 'openai' ? {} : { 'sec-websocket-protocol': 'realtime' }),
    });
  }
  expect(agent.secretsKnown).toBeGreaterThan(0);
  expect(agent.placeholdersFound).toBe(1);
  expect(agent.secretsFound).toEqual([]);
});

it('each is one exchange on record, with its frames and its end', () => {
  const lines = sandboxed.auditLines();
  const sockets = lines.filter((line) => line['kind'] === 'completion' && line['status'] === 101);
  expect(sockets).toHaveLength(3);
  for (const completion of sockets) {
    expect(completion).toMatchObject({ outcome: 'completed', scrubbed: 1 });
    expect(Number(completion['framesUp'])).toBeGreaterThanOrEqual(4);
    expect(Number(completion['framesDown'])).toBeGreaterThan(8);
    const intent = lines.find((line) => line['kind'] === 'intent' && line['exchange'] === completion['exchange']);
    expect(intent).toMatchObject({ path: '/v1/realtime', injected: 'bearer', rule: 'agents/2' });
  }
});
