import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type InstanceOrder, InstanceRegistry, instanceSpiffeId } from '../../../src/workload/instances.ts';
import { derivePlaceholders } from '../../../src/workload/placeholders.ts';
import { tokenIn } from '../../../src/workload/proxy-authorization.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const EVERY = { workload: null, labels: {}, after: null, limit: 1_000 };

/** A registry, its clock, and what its listener heard. */
function world() {
  const clock = new FakeClock();
  const registry = new InstanceRegistry(clock);
  const heard: string[] = [];
  registry.listen({
    expired: ({ id }) => heard.push(`expired ${id}`),
    over: ({ id }) => heard.push(`over ${id}`),
  });
  const create = (order: Partial<InstanceOrder> = {}) =>
    registry.create({ workload: 'agent', ttlMs: 60_000, ...order });
  return { clock, registry, heard, create };
}

describe('instances', () => {
  it('are found by their token until they end', async () => {
    const { clock, registry, create } = world();
    const { instance, token } = create();
    expect(registry.find(token)).toEqual(instance);
    await clock.advance(59_999);
    expect(registry.isAlive(instance.id)).toBe(true);
    expect(registry.remainingMs(instance.id)).toBe(1);
    await clock.advance(1);
    expect(registry.find(token)).toBeNull();
    expect(registry.isAlive(instance.id)).toBe(false);
    expect(registry.remainingMs(instance.id)).toBe(0);
  });

  it('do not end earlier or later because the wall clock jumps', () => {
    const { clock, registry, create } = world();
    const { token } = create();
    clock.jump(3_600_000);
    expect(registry.find(token)).not.toBeNull();
  });

  it('have a grace after their end: found no more, and swept when it is over', async () => {
    const { clock, registry, heard, create } = world();
    const { instance, token } = create({ graceMs: 30_000 });
    await clock.advance(60_000);
    expect(heard).toEqual([`expired ${instance.id}`]);
    expect([registry.find(token), registry.get(instance.id), registry.isAlive(instance.id)]).toEqual([
      null,
      null,
      false,
    ]);
    expect(registry.page(EVERY).instances).toEqual([]);
    expect([registry.count, registry.countOf('agent')]).toEqual([1, 1]);
    await clock.advance(29_999);
    expect(heard).toHaveLength(1);
    await clock.advance(1);
    expect(heard).toEqual([`expired ${instance.id}`, `over ${instance.id}`]);
    expect([registry.count, registry.countOf('agent'), clock.pending]).toEqual([0, 0, 0]);
  });

  it('live on when they are extended, from then on, up to their longest life and never shorter', async () => {
    const { clock, registry, heard, create } = world();
    const { instance } = create({ maxTtlMs: 150_000 });
    await clock.advance(30_000);
    expect(registry.extend(instance.id, 60_000)?.expiresAt).toBe(instance.expiresAt + 30_000);
    await clock.advance(59_999);
    expect(heard).toEqual([]);
    expect(registry.extend(instance.id, 10)?.expiresAt).toBe(instance.expiresAt + 30_000 + 9);
    expect(registry.extend(instance.id, 1)?.expiresAt).toBe(instance.expiresAt + 30_000 + 9);
    expect(registry.extend(instance.id, 3_600_000)?.expiresAt).toBe(instance.createdAt + 150_000);
    await clock.advance(150_000 - 89_999);
    expect(heard).toEqual([`expired ${instance.id}`, `over ${instance.id}`]);
    expect(registry.extend(instance.id, 60_000)).toBeNull();
  });

  it('are not extended in their grace', async () => {
    const { clock, registry, create } = world();
    const { instance } = create({ maxTtlMs: 600_000, graceMs: 30_000 });
    await clock.advance(60_001);
    expect(registry.extend(instance.id, 60_000)).toBeNull();
    expect(registry.end(instance.id)?.id).toBe(instance.id);
    expect(clock.pending).toBe(0);
  });

  it('are bounded in number: at the limit those that ended make room, and none else does', {
    timeout: 60_000,
  }, async () => {
    const { clock, registry } = world();
    for (let i = 0; i < 99_999; i++) registry.create({ workload: 'agent', ttlMs: 3_600_000 });
    registry.create({ workload: 'agent', ttlMs: 1_000, graceMs: 1_000 });
    const seen = new Set<string>();
    for (let after: number | null = 0; after !== null; ) {
      const page = registry.page({ ...EVERY, after });
      for (const { id } of page.instances) seen.add(id);
      after = page.next;
    }
    expect(seen.size).toBe(100_000);
    expect(() => registry.create({ workload: 'agent', ttlMs: 1_000 })).toThrow('overload');
    await clock.advance(1_999);
    expect(() => registry.create({ workload: 'agent', ttlMs: 1_000 })).toThrow('overload');
    await clock.advance(1);
    expect(registry.create({ workload: 'agent', ttlMs: 1_000 }).token).toMatch(/^cs_/);
  });

  it('end at once when told to, without a word to the listener', async () => {
    const { clock, registry, heard, create } = world();
    const { instance, token } = create();
    expect(registry.end(instance.id)).toEqual(instance);
    expect(registry.end(instance.id)).toBeNull();
    expect(registry.find(token)).toBeNull();
    await clock.advance(100_000);
    expect(heard).toEqual([]);
  });

  it('have tokens of 256 bit that the registry does not keep', () => {
    const { registry, create } = world();
    const { token } = create();
    expect(Buffer.from(token.slice(3), 'base64url')).toHaveLength(32);
    expect(inspect(registry.page(EVERY), { depth: 9 })).not.toContain(token);
    expect(registry.find(`${token.slice(0, -1)}x`)).toBeNull();
    expect(registry.find('')).toBeNull();
  });

  it('are told page by page, and no page repeats or skips one because others ended', () => {
    const { registry, create } = world();
    const ids = Array.from(
      { length: 10 },
      (_, i) => create({ labels: { parity: i % 2 === 0 ? 'even' : 'odd' } }).instance.id,
    );
    const first = registry.page({ ...EVERY, limit: 4 });
    expect(first.instances.map(({ id }) => id)).toEqual(ids.slice(0, 4));
    for (const id of [ids[0], ids[3], ids[4]]) registry.end(id ?? '');
    const second = registry.page({ ...EVERY, limit: 4, after: first.next });
    expect(second.instances.map(({ id }) => id)).toEqual(ids.slice(5, 9));
    const last = registry.page({ ...EVERY, limit: 4, after: second.next });
    expect([last.instances.map(({ id }) => id), last.next]).toEqual([ids.slice(9), null]);
    const odd = registry.page({ ...EVERY, labels: { parity: 'odd' } });
    expect(odd.instances.map(({ id }) => id)).toEqual([1, 5, 7, 9].map((i) => ids[i]));
    expect(registry.page({ ...EVERY, workload: 'other' }).instances).toEqual([]);
  });

  it('have a SPIFFE ID below their workload’s', () => {
    expect(instanceSpiffeId('example.org', 'team/agent', 'i-0123456789abcdef').uri).toBe(
      'spiffe://example.org/team/agent/i-0123456789abcdef',
    );
  });
});

describe('the token in Proxy-Authorization', () => {
  const basic = (text: string): string => Buffer.from(text).toString('base64');
  it.each([
    [`Basic ${basic('i-1:cs_token')}`, 'cs_token'],
    [`basic  ${basic(':cs_token')}`, 'cs_token'],
    [`Basic ${basic('a:b:c')}`, 'b:c'],
    ['Bearer cs_token', 'cs_token'],
    ['BEARER cs_to-k_en.~+/==', 'cs_to-k_en.~+/=='],
  ])('is read from %s', (credentials, token) => {
    expect(tokenIn(credentials)).toBe(token);
  });

  it.each([
    [''],
    ['Basic'],
    ['Basic !!!'],
    [`Basic ${basic('no-colon')}`],
    ['Negotiate abc'],
    ['Bearer a b'],
    ['Bearer '],
    [`Bearer ${'a'.repeat(20_000)}`],
  ])('is not read from %s', (credentials) => {
    expect(tokenIn(credentials)).toBeNull();
  });
});

describe('placeholders', () => {
  const key = Buffer.alloc(32, 7);

  it('are the same for the same workload, and different for any other', () => {
    const one = derivePlaceholders(key, 'spiffe://a/b', 'i-1');
    expect(derivePlaceholders(key, 'spiffe://a/b', 'i-1')).toEqual(one);
    for (const other of [
      derivePlaceholders(key, 'spiffe://a/b', 'i-2'),
      derivePlaceholders(key, 'spiffe://a/c', 'i-1'),
      derivePlaceholders(Buffer.alloc(32, 8), 'spiffe://a/b', 'i-1'),
    ]) {
      expect(other.apiKey).not.toBe(one.apiKey);
      expect(other.awsAccessKeyId).not.toBe(one.awsAccessKeyId);
      expect(other.awsSecretAccessKey).not.toBe(one.awsSecretAccessKey);
    }
  });

  it('have the shapes that SDKs expect', () => {
    const { apiKey, awsAccessKeyId, awsSecretAccessKey } = derivePlaceholders(key, 'spiffe://a/b', null);
    expect(apiKey).toMatch(/^sk-placeholder-[0-9a-f]{40}$/);
    expect(awsAccessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/);
    expect(awsSecretAccessKey).toMatch(/^[A-Za-z0-9+/]{40}$/);
  });
});
