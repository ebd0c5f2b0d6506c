import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { away, CANARY, FakeSource, permit, refused, workload } from './permits.ts';
import {
  clock,
  events,
  failure,
  MINUTE,
  never,
  obtain,
  opensAnewForEachTest,
  source,
  sources,
  stage,
  turn,
} from './stage-world.ts';

opensAnewForEachTest();

describe('obtain', () => {
  it('gives null where the permit has no binding, and asks no source', async () => {
    expect(await stage.obtain(permit(workload(), null), never)).toBeNull();
    expect(source.fetches).toEqual([]);
  });

  it('fetches as the permit says, once, and serves the rest from memory', async () => {
    const first = await obtain();
    const second = await obtain();
    expect(second).toBe(first);
    expect(source.fetches.map((fetch) => fetch.workload.name)).toEqual(['agent']);
    expect(first).toMatchObject({
      source: 'vault',
      generation: 1,
      lease: { idPrefix: 'openai/creds/agents/leas', accessor: 'accessor', renewable: false },
    });
    expect(first.lease.expiresAt).toBe(clock.now() + 60 * MINUTE);
  });

  it('fetches once for 1,000 callers of one moment', async () => {
    const credentials = await Promise.all(Array.from({ length: 1000 }, () => obtain()));
    expect(source.fetches).toHaveLength(1);
    expect(stage.list()[0]?.inUse).toBe(1000);
    for (const credential of credentials) stage.release(credential);
    expect(stage.list()[0]?.inUse).toBe(0);
  });

  it('shares nothing between workloads, instances and bindings', async () => {
    const permits = [
      permit(),
      permit(workload('other')),
      permit(workload('agent', 'i-1')),
      permit(workload('agent', 'i-2')),
      permit(workload(), 'second'),
    ];
    const keys = new Set((await Promise.all(permits.map((each) => obtain(each)))).map((credential) => credential.key));
    expect(keys.size).toBe(5);
    expect(source.fetches).toHaveLength(5);
  });

  it('lets at most 48 calls run at once', async () => {
    let open = 0;
    let most = 0;
    source.wait = async () => {
      most = Math.max(most, ++open);
      await turn();
      open--;
    };
    await Promise.all(Array.from({ length: 300 }, (_, i) => obtain(permit(workload(`agent-${i}`)))));
    expect(most).toBe(48);
  });

  it('ends the wait of a caller that goes away, and of nobody else', async () => {
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const leaving = new AbortController();
    const left = failure(stage.obtain(permit(), leaving.signal));
    const stayed = obtain();
    await turn();
    leaving.abort();
    expect((await left).code).toBe('downstream_aborted');
    arrive();
    expect((await stayed).generation).toBe(1);
    expect(stage.list()[0]?.inUse).toBe(1);
  });

  it('fails after 5 s although the source does not listen, and revokes what comes later', async () => {
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const failing = failure(stage.obtain(permit(), never));
    await turn();
    await clock.advance(4999);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(await failing).toMatchObject({ code: 'credential_unavailable' });
    expect(source.fetches[0]?.signal.aborted).toBe(true);
    arrive();
    await turn();
    expect(source.grants[0]).toMatchObject({ revocations: 1 });
    expect(source.grants[0]?.key.isDestroyed).toBe(true);
    expect(stage.list()).toEqual([]);
  });

  it('waits no longer than 5 s for a replacement that was on its way before', async () => {
    source.onGrant = (grant) => {
      grant.renewable = true;
      grant.renew = () => new Promise(() => {});
    };
    source.ttlMs = 2000;
    stage.release(await obtain());
    source.wait = () => new Promise(() => {});
    await clock.advance(1500);
    const failing = failure(stage.obtain(permit(), never));
    await clock.advance(5000);
    expect((await failing).code).toMatch(/^credential_/);
  });

  it('shows no secret when it is inspected or listed', async () => {
    const credential = await obtain();
    for (const shown of [
      inspect(credential, { depth: 9, showHidden: true }),
      JSON.stringify([...credential.parts]),
      inspect(stage.list(), { depth: 9 }),
    ])
      expect(shown).not.toContain(CANARY);
  });

  it('says that the source is unknown', async () => {
    expect((await failure(stage.obtain(permit(workload(), 'openai', 'gone'), never))).code).toBe('credential_invalid');
  });
});

describe('replacement', () => {
  it('comes at about two thirds of the usable time, before the old one ends', async () => {
    const first = await obtain();
    await clock.advance(30 * MINUTE);
    expect(source.fetches).toHaveLength(1);
    await clock.advance(10 * MINUTE);
    expect(source.fetches).toHaveLength(2);
    const second = await obtain();
    expect([first.generation, second.generation]).toEqual([1, 2]);
    expect(second.key).not.toBe(first.key);
  });

  it('keeps the old one alive for those who use it, then revokes and zeroes it', async () => {
    const first = await obtain();
    await obtain();
    await clock.advance(40 * MINUTE);
    const old = source.grants[0];
    expect([old?.revocations, old?.key.isDestroyed]).toEqual([0, false]);
    stage.release(first);
    expect(old?.revocations).toBe(0);
    stage.release(first);
    await turn();
    expect([old?.revocations, old?.key.isDestroyed]).toEqual([1, true]);
    expect(stage.list().map((lease) => lease.generation)).toEqual([2]);
  });

  it('does not happen to a lease that nobody used since', async () => {
    stage.release(await obtain());
    await clock.advance(6 * 60 * MINUTE);
    expect(source.fetches).toHaveLength(2);
    expect(stage.list()).toEqual([]);
    expect(source.grants.map((grant) => grant.revocations)).toEqual([1, 1]);
    expect(clock.pending).toBe(0);
  });

  it('begins with the first use after it was due', async () => {
    stage.release(await obtain());
    await clock.advance(40 * MINUTE);
    await clock.advance(45 * MINUTE);
    expect(source.fetches).toHaveLength(2);
    expect((await obtain()).generation).toBe(2);
    await turn();
    expect((await obtain()).generation).toBe(3);
  });

  it.each([
    [60, 30],
    [10, 5],
    [600, 540],
    [3600, 3240],
    [1, 0.5],
  ])('of a lease of %i s gives it to new exchanges for %d s', async (ttl, usable) => {
    source.ttlMs = ttl * 1000;
    await obtain();
    source.failure = away();
    await clock.advance(usable * 1000 - 1);
    expect((await obtain()).generation).toBe(1);
    await clock.advance(1);
    await failure(stage.obtain(permit(), never));
  });

  it('renews what can be renewed', async () => {
    source.onGrant = (grant) => {
      grant.renewable = true;
      grant.renew = async () => clock.monotonicMs() + 60 * MINUTE;
    };
    const first = await obtain();
    await clock.advance(40 * MINUTE);
    const second = await obtain();
    expect([second.generation, second.key]).toEqual([1, first.key]);
    expect(second.lease.expiresAt).toBeGreaterThan(first.lease.expiresAt);
    expect(source.fetches).toHaveLength(1);
    stage.release(first);
    stage.release(second);
    expect(stage.list()[0]?.inUse).toBe(0);
  });

  it.each([
    ['no longer extends', () => Promise.resolve(clock.monotonicMs() + 10 * MINUTE)],
    ['is refused', () => Promise.reject(refused())],
  ])('fetches where renewing %s', async (_name, renew) => {
    source.onGrant = (grant) => {
      grant.renewable = true;
      grant.renew = renew;
    };
    await obtain();
    await clock.advance(40 * MINUTE);
    expect((await obtain()).generation).toBe(2);
    expect(source.fetches).toHaveLength(2);
  });

  it('counts monotonic time: a jump of the wall clock changes nothing', async () => {
    await obtain();
    clock.jump(2 * 60 * MINUTE);
    await obtain();
    clock.jump(-24 * 60 * MINUTE);
    await obtain();
    expect(source.fetches).toHaveLength(1);
  });

  it('starts anew where the source was replaced by a reload', async () => {
    const first = await obtain();
    sources.set('vault', new FakeSource(clock));
    const second = await obtain();
    expect(second.generation).toBe(2);
    stage.release(first);
    await turn();
    expect(source.grants[0]?.revocations).toBe(1);
  });
});

describe('a lifetime', () => {
  it.each([0, -1_000, Number.NaN, Number.NEGATIVE_INFINITY])('of %d ms is no credential', async (ttlMs) => {
    source.ttlMs = ttlMs;
    expect(await failure(stage.obtain(permit(), never))).toMatchObject({ code: 'credential_invalid' });
    await turn();
    expect(source.grants[0]?.revocations).toBe(1);
    expect(source.grants[0]?.key.isDestroyed).toBe(true);
    expect(stage.list()).toEqual([]);
  });

  it.each([2 ** 31, 2 ** 53, Number.POSITIVE_INFINITY])(
    'of %d ms is believed for a day, and not at once over',
    async (ttlMs) => {
      source.ttlMs = ttlMs;
      const { lease } = await obtain();
      expect(lease.expiresAt).toBe(clock.now() + 24 * 60 * MINUTE);
      await clock.advance(12 * 60 * MINUTE);
      expect((await obtain()).generation).toBe(1);
      await clock.advance(4 * 60 * MINUTE);
      await obtain();
      await turn();
      expect((await obtain()).generation).toBe(2);
    },
  );

  it('of a renewal that is none ends in another credential', async () => {
    for (const end of [Number.NaN, 0, clock.monotonicMs() - 1]) {
      source.onGrant = (grant) => {
        grant.renewable = true;
        grant.renew = () => Promise.resolve(end);
      };
      const before = (await obtain()).generation;
      await clock.advance(40 * MINUTE);
      expect((await obtain()).generation).toBe(before + 1);
    }
  });
});

describe('invalidate', () => {
  it('gives the lease to no new exchange, and the old one lives while it is used', async () => {
    const first = await obtain();
    await clock.advance(5_000);
    expect(stage.invalidate(first)).toBe(true);
    const second = await obtain();
    expect(second.generation).toBe(2);
    expect(source.grants[0]?.key.isDestroyed).toBe(false);
    stage.release(first);
    await turn();
    expect(source.grants[0]?.revocations).toBe(1);
  });

  it('is believed once in 30 s, so that a wrong upstream cannot make a storm of leases', async () => {
    await obtain();
    await clock.advance(5_000);
    for (let i = 0; i < 20; i++) stage.invalidate(await obtain());
    expect(source.fetches).toHaveLength(2);
    await clock.advance(30_000);
    stage.invalidate(await obtain());
    await obtain();
    expect(source.fetches).toHaveLength(3);
  });

  it('of an older generation does nothing', async () => {
    const first = await obtain();
    await clock.advance(40 * MINUTE);
    await obtain();
    stage.invalidate(first);
    expect((await obtain()).generation).toBe(2);
  });
});
