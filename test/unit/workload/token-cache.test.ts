import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { type MintToken, rememberTokens } from '../../../src/workload/token-cache.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { workloadNamed } from '../../fakes/fake-trust-domain.ts';

let clock: FakeClock;
let mint: MintToken;
let made: Secret[];
let kid: string;
let failure: Error | null;

beforeEach(() => {
  clock = new FakeClock();
  made = [];
  kid = 'one';
  failure = null;
  mint = rememberTokens({
    clock,
    tokenLifetimeMs: 60_000,
    kid: () => kid,
    mint: async () => {
      if (failure !== null) throw failure;
      const secret = Secret.copyOf(Buffer.from(`token-${made.length + 1}`));
      made.push(secret);
      return secret;
    },
  });
});
const text = async (name = 'w', instance: string | null = null, audience = 'vault'): Promise<string> =>
  (await mint(workloadNamed(name, instance), [audience])).reveal().toString();

describe('tokens of a moment ago', () => {
  it('are given out again during half of their life, each as a copy of its own, then zeroed', async () => {
    const first = await mint(workloadNamed('w', null), ['vault']);
    first.destroy();
    expect(await text()).toBe('token-1');
    await clock.advance(29_000);
    expect(await text()).toBe('token-1');
    await clock.advance(2_000);
    expect(made[0]?.isDestroyed).toBe(true);
    expect(await text()).toBe('token-2');
  });

  it('are signed once for many who ask at the same moment', async () => {
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => text())))).toEqual(new Set(['token-1']));
  });

  it('are of one workload, instance, audience, key and more claims', async () => {
    const asked = [text(), text('v'), text('w', 'i-1'), text('w', null, 'other')];
    expect(new Set(await Promise.all(asked)).size).toBe(4);
    kid = 'two';
    expect(await text()).toBe('token-5');
    const tagged = await mint(workloadNamed('w', null), ['vault'], { tag: 'x' });
    expect(tagged.reveal().toString()).toBe('token-6');
  });

  it('do not remember a failure', async () => {
    failure = new Error('away');
    await expect(text()).rejects.toThrow('away');
    failure = null;
    expect(await text()).toBe('token-1');
  });
});
