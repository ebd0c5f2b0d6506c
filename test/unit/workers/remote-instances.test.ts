import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Scope } from '../../../src/policy/options.ts';
import type { Channel } from '../../../src/workers/channel.ts';
import { RemoteInstances } from '../../../src/workers/remote-instances.ts';
import { TOPIC } from '../../../src/workers/topics.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const placeholders = { apiKey: 'a', awsAccessKeyId: 'b', awsSecretAccessKey: 'c' };

/** An owner that knows the token `good`, and what it was asked. */
function world(scope?: Scope) {
  const clock = new FakeClock();
  const asked: [number, string][] = [];
  const answers = (topic: number, body: string): unknown => {
    if (topic === TOPIC.placeholders) return placeholders;
    const isKnown = body === hash('sha256', 'good', 'base64');
    return isKnown ? { id: 'i-1', workload: 'agent', scope, remainingMs: 1_000, placeholders } : null;
  };
  const channel = {
    ask: async (topic: number, body: string, read: (answer: Buffer) => unknown) => {
      asked.push([topic, body]);
      return read(Buffer.from(JSON.stringify(answers(topic, body))));
    },
  } as unknown as Channel;
  return { clock, asked, instances: new RemoteInstances(channel, clock) };
}

describe('instances in a worker', () => {
  it('are asked for once, by a hash and never by the token', async () => {
    const { instances, asked } = world();
    expect(await instances.find('good')).toMatchObject({ id: 'i-1', workload: 'agent' });
    expect(await instances.find('good')).toMatchObject({ id: 'i-1' });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.[1]).not.toContain('good');
    expect(instances.isAlive('i-1')).toBe(true);
    expect(await instances.placeholders('agent', 'i-1')).toEqual(placeholders);
  });

  it('that nobody knows are asked for each time', async () => {
    const { instances, asked } = world();
    expect(await instances.find('bad')).toBe(null);
    expect(await instances.find('bad')).toBe(null);
    expect(asked).toHaveLength(2);
  });

  it('live on by the owner’s word, and keep the scope that they were told with', async () => {
    const { instances, clock } = world([{ services: ['a'], methods: null, paths: null }]);
    const known = await instances.find('good');
    expect(known).toEqual({ id: 'i-1', workload: 'agent', scope: [{ services: ['a'], methods: null, paths: null }] });
    await clock.advance(900);
    instances.extended({ id: 'i-1', remainingMs: 5_000 });
    instances.extended({ id: 'i-unknown', remainingMs: 5_000 });
    await clock.advance(4_999);
    expect(instances.isAlive('i-1')).toBe(true);
    expect(await instances.find('good')).toBe(known);
    await clock.advance(1);
    expect([instances.isAlive('i-1'), instances.isAlive('i-unknown')]).toEqual([false, false]);
    // Asked for again, it is the same object: what a decision has made of its scope is found by it.
    expect(await instances.find('good')).toBe(known);
  });

  it('are gone with the owner’s word, and with their time', async () => {
    const { instances, clock, asked } = world();
    await instances.find('good');
    instances.ended('i-1');
    expect(instances.isAlive('i-1')).toBe(false);
    await expect(instances.placeholders('agent', 'i-1')).rejects.toMatchObject({ code: 'identity_required' });
    await instances.find('good');
    expect(asked).toHaveLength(2);
    await clock.advance(1_001);
    expect(instances.isAlive('i-1')).toBe(false);
    await instances.find('good');
    expect(asked).toHaveLength(3);
  });
});
