import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { openStreamServer, type StreamServer, withWorkers } from './worker-world.ts';

const SLOW = 120_000;
let stream: StreamServer;
let sandboxed: SandboxedProxy;
beforeAll(async () => {
  stream = await openStreamServer();
  sandboxed = await openSandboxedProxy((policy) => withWorkers(policy, 2, stream));
}, SLOW);
afterAll(async () => {
  await sandboxed.close();
  await stream.close();
}, SLOW);

it(
  'workers share the gateway, and an instance that ends is known to none of them',
  async () => {
    const instance = await sandboxed.proxy.createInstance({ workload: 'ai-agent' });
    const { gateway } = instance;
    const ask = async (): Promise<number> => {
      const headers = { authorization: `Bearer ${gateway?.apiKey}`, connection: 'close' };
      return (await fetch(`${gateway?.url}/openai-api/v1/models`, { headers })).status;
    };
    const statuses = await Promise.all(Array.from({ length: 40 }, ask));
    expect(new Set(statuses)).toEqual(new Set([200]));
    const intents = sandboxed.auditLines().filter(({ kind, way }) => kind === 'intent' && way === 'gateway');
    expect(intents).toHaveLength(40);
    const served = new Set(intents.map(({ exchange }) => /^w[0-9]+c-g/.exec(String(exchange))?.[0]));
    expect([...served].sort()).toEqual(['w1c-g', 'w2c-g']);
    await sandboxed.proxy.endInstance(instance.id);
    expect(await ask()).toBe(401);
    expect(JSON.stringify(sandboxed.auditLines())).not.toContain(instance.token);
  },
  SLOW,
);
