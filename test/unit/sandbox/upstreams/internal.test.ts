import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxUpstreams, type SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { fakeRegistry, INTERNAL_KEY, OPENAI_KEY, send } from './sandbox-client.ts';
import { systemClock } from './system-clock.ts';

const HOST = 'api.internal.test';
const KEY = ['X-API-Key', INTERNAL_KEY] as const;
let sandbox: SandboxUpstreams;

beforeAll(async () => {
  sandbox = await openSandboxUpstreams({ registry: fakeRegistry(), clock: systemClock, address: '127.0.0.1', port: 0 });
});

afterAll(() => sandbox.close());

it('lists, takes and shows orders', async () => {
  const listed = await send(sandbox, HOST, { path: '/v1/orders', headers: [KEY] });
  expect(JSON.parse(listed.body)).toMatchObject({ orders: [{ id: 1 }, { id: 2 }] });
  const body = JSON.stringify({ item: 'chair', quantity: 4 });
  const taken = await send(sandbox, HOST, { method: 'POST', path: '/v1/orders', headers: [KEY], body });
  expect([taken.status, JSON.parse(taken.body)]).toEqual([201, { id: 3, item: 'chair', quantity: 4 }]);
  expect((await send(sandbox, HOST, { path: '/v1/orders/3', headers: [KEY] })).status).toBe(200);
  expect((await send(sandbox, HOST, { path: '/v1/orders/99', headers: [KEY] })).status).toBe(404);
  expect((await send(sandbox, HOST, { method: 'POST', path: '/v1/orders', headers: [KEY], body: '{}' })).status).toBe(
    400,
  );
});

it('refuses a request without the key, or with a key of somebody else', async () => {
  for (const headers of [
    [],
    [['x-api-key', OPENAI_KEY] as const],
    [['authorization', `Bearer ${INTERNAL_KEY}`] as const],
  ]) {
    expect((await send(sandbox, HOST, { path: '/v1/orders', headers })).status).toBe(401);
  }
});
