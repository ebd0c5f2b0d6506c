/** A key of OpenAI without a Vault, through the whole product: made, used, deleted; and cleared away after a crash. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeOpenaiOrganization } from '../fakes/fake-openai-organization.ts';
import { CALLS_ONCE, IDLE, RunWorld } from './run-world.ts';

const WAIT = { timeout: 20_000, interval: 50 };

let openai: FakeOpenaiOrganization;
let world: RunWorld;

beforeEach(async () => {
  openai = await FakeOpenaiOrganization.open();
  openai.add('adminKeys', 'first');
  world = await RunWorld.open();
  world.put('openai.pem', openai.provider.rootPem ?? '');
  world.put('admin-key', `${[...openai.adminKeys.values()][0]?.key}\n`);
});
afterEach(async () => {
  await world.close();
  await openai.provider.close();
});

const source = (): string =>
  `{ openaiAdmin: { project: proj_a, adminKey: { file: ./admin-key }, baseUrl: "${openai.provider.baseUrl}/v1", caFile: ./openai.pem } }`;

async function used(): Promise<void> {
  await vi.waitFor(() => expect(world.output).toMatch(/called 200/), WAIT);
  const [account] = openai.accounts.values();
  expect(world.upstream.calls.at(-1)?.headers.authorization).toBe(`Bearer ${account?.key}`);
  expect(account?.name).toMatch(/^countersign-w-cs-countersign-3600-[0-9a-f]{12}$/);
}

describe('a key of OpenAI without a Vault', () => {
  it('is made, used, and deleted when the proxy ends', async () => {
    const child = world.start(source(), CALLS_ONCE);
    await used();
    await world.end(child, 'SIGTERM');
    expect(openai.accounts.size).toBe(0);
    expect(world.output).not.toContain('canary');
  });

  it('is left by a crash, and deleted by the proxy that starts after its end', async () => {
    const child = world.start(source(), CALLS_ONCE);
    await used();
    await world.end(child, 'SIGKILL');
    expect(openai.accounts.size).toBe(1);
    openai.now += 2 * 3_600_000;
    const next = world.start(source(), IDLE);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0), WAIT);
    expect(world.upstream.calls).toHaveLength(1);
    await world.end(next, 'SIGTERM');
  });
});
