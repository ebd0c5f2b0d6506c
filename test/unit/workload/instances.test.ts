import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createInstanceRegistry } from '../../../src/workload/instances.ts';
import { derivePlaceholders } from '../../../src/workload/placeholders.ts';
import { tokenIn } from '../../../src/workload/proxy-authorization.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

describe('instances', () => {
  it('are found by their token until they end', async () => {
    const clock = new FakeClock();
    const registry = createInstanceRegistry(clock);
    const { instance, token } = registry.create('ai-agent', 60_000);
    expect(registry.find(token)).toEqual(instance);
    await clock.advance(59_999);
    expect(registry.isAlive(instance.id)).toBe(true);
    await clock.advance(1);
    expect(registry.find(token)).toBeNull();
    expect(registry.isAlive(instance.id)).toBe(false);
  });

  it('do not end earlier or later because the wall clock jumps', () => {
    const clock = new FakeClock();
    const registry = createInstanceRegistry(clock);
    const { token } = registry.create('ai-agent', 60_000);
    clock.jump(3_600_000);
    expect(registry.find(token)).not.toBeNull();
  });

  it('are bounded in number: at the limit those that ended make room, and none else does', {
    timeout: 60_000,
  }, async () => {
    const clock = new FakeClock();
    const registry = createInstanceRegistry(clock);
    for (let i = 0; i < 99_999; i++) registry.create('ai-agent', 3_600_000);
    registry.create('ai-agent', 1_000);
    expect(() => registry.create('ai-agent', 1_000)).toThrow('overload');
    await clock.advance(1_000);
    expect(registry.create('ai-agent', 1_000).token).toMatch(/^cs_/);
  });

  it('end at once when told to', () => {
    const registry = createInstanceRegistry(new FakeClock());
    const { instance, token } = registry.create('ai-agent', 60_000);
    expect(registry.end(instance.id)).toBe(true);
    expect(registry.end(instance.id)).toBe(false);
    expect(registry.find(token)).toBeNull();
  });

  it('have tokens of 256 bit that the registry does not keep', () => {
    const registry = createInstanceRegistry(new FakeClock());
    const { token } = registry.create('ai-agent', 60_000);
    expect(Buffer.from(token.slice(3), 'base64url')).toHaveLength(32);
    expect(inspect(registry.list(), { depth: 9 })).not.toContain(token);
    expect(registry.find(`${token.slice(0, -1)}x`)).toBeNull();
    expect(registry.find('')).toBeNull();
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
