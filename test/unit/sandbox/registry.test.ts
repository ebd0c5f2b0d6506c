import { describe, expect, it } from 'vitest';
import { createSandboxRegistry } from '../../../src/sandbox/registry.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

describe('the sandbox registry', () => {
  it('issues OpenAI keys that look real and knows who has them', () => {
    const registry = createSandboxRegistry(new FakeClock());
    const { id, value } = registry.issueApiKey('openai', { leaseId: 'openai/creds/a/1', workload: 'ai-agent' });
    expect(value).toMatch(/^sk-svcacct-[A-Za-z0-9]{80}$/);
    expect(registry.findApiKey(value)).toEqual({
      id,
      provider: 'openai',
      alive: true,
      leaseId: 'openai/creds/a/1',
      workload: 'ai-agent',
    });
  });

  it('tells a revoked key from one that never was', () => {
    const registry = createSandboxRegistry(new FakeClock());
    const { id, value } = registry.issueApiKey('openai');
    expect(registry.revokeApiKey(id)).toBe(true);
    expect(registry.revokeApiKey(id)).toBe(true);
    expect(registry.findApiKey(value)).toMatchObject({ id, alive: false });
    expect(registry.findApiKey('sk-svcacct-nobody')).toBeNull();
    expect(registry.revokeApiKey('key_nobody')).toBe(false);
  });

  it('ends a static key when another takes its place', () => {
    const registry = createSandboxRegistry(new FakeClock());
    const first = registry.setStaticKey('anthropic', 'sk-ant-one');
    expect(registry.setStaticKey('anthropic', 'sk-ant-one')).toEqual(first);
    registry.setStaticKey('anthropic', 'sk-ant-two');
    registry.setStaticKey('internal', 'internal-one');
    expect(registry.findApiKey('sk-ant-one')).toMatchObject({ provider: 'anthropic', alive: false });
    expect(registry.findApiKey('sk-ant-two')).toMatchObject({ provider: 'anthropic', alive: true });
    expect(registry.findApiKey('internal-one')).toMatchObject({ provider: 'internal', alive: true });
  });

  it('keeps a static key however many others come after it', () => {
    const registry = createSandboxRegistry(new FakeClock());
    registry.setStaticKey('anthropic', 'sk-ant-one');
    for (let count = 0; count < 25_010; count += 1) registry.issueApiKey('openai');
    expect(registry.findApiKey('sk-ant-one')).toMatchObject({ alive: true });
  });

  it('ends an AWS session by monotonic time, whatever the wall clock does', async () => {
    const clock = new FakeClock();
    const registry = createSandboxRegistry(clock);
    const key = registry.issueAwsKey({ ttlMs: 60_000, session: true });
    expect(key.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
    expect(key.secretAccessKey).toMatch(/^[A-Za-z0-9+/]{40}$/);
    expect(key.sessionToken?.length).toBeGreaterThan(300);
    expect(key.expiresAt).toBe(clock.now() + 60_000);
    clock.jump(3_600_000);
    expect(registry.findAwsKey(key.accessKeyId)).toMatchObject({ alive: true });
    await clock.advance(60_000);
    expect(registry.findAwsKey(key.accessKeyId)).toMatchObject({ alive: false, sessionToken: key.sessionToken });
  });

  it('lets the key of an AWS user live until it is revoked', async () => {
    const clock = new FakeClock();
    const registry = createSandboxRegistry(clock);
    const key = registry.issueAwsKey({ ttlMs: 1_000, session: false });
    expect(key).toMatchObject({ sessionToken: null, expiresAt: null });
    expect(key.accessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/);
    await clock.advance(10_000);
    expect(registry.findAwsKey(key.accessKeyId)).toMatchObject({ alive: true });
    registry.revokeAwsKey(key.accessKeyId);
    expect(registry.findAwsKey(key.accessKeyId)).toMatchObject({ alive: false });
  });
});
