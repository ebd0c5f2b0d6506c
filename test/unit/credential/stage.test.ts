import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import type { Credential, CredentialStage } from '../../../src/credential/credential.ts';
import { createStageOver, type LeaseEvent } from '../../../src/credential/stage.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { away, CANARY, FakeSource, permit, refused, workload } from './permits.ts';

const MINUTE = 60_000;
let clock: FakeClock;
let source: FakeSource;
let stage: CredentialStage;
let events: LeaseEvent[];
let sources: Map<string, FakeSource>;

beforeEach(() => {
  clock = new FakeClock();
  source = new FakeSource(clock);
  sources = new Map([['vault', source]]);
  stage = createStage();
});

function createStage(maxLeasesPerWorkload = 64, maxLeasesPerSource = 1_000): CredentialStage {
  events = [];
  const find = (name: string): FakeSource => {
    const found = sources.get(name);
    if (found === undefined) throw new EgressError('credential_invalid', { detail: 'unknown source' });
    return found;
  };
  return createStageOver(
    { find, close: () => Promise.resolve() },
    { clock, random: () => 0.5, maxLeasesPerWorkload, maxLeasesPerSource, observe: (event) => events.push(event) },
  );
}

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function obtain(from = permit()): Promise<Credential> {
  const credential = await stage.obtain(from, never);
  if (credential === null) throw new Error('no credential');
  return credential;
}

async function failure(promise: Promise<unknown>): Promise<EgressError> {
  const error = await promise.then(
    () => expect.fail('did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9 })).not.toContain(CANARY);
  return error as EgressError;
}

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

describe('a source that is away', () => {
  it('is served around until the lease is over, asked with growing pauses, then fails closed', async () => {
    await obtain();
    source.failure = away();
    await clock.advance(36 * MINUTE);
    const before = source.fetches.length;
    await clock.advance(17 * MINUTE);
    expect((await obtain()).generation).toBe(1);
    const asked = source.fetches.length - before;
    expect(asked).toBeGreaterThan(15);
    expect(asked).toBeLessThan(40);
    await clock.advance(2 * MINUTE);
    const error = await failure(stage.obtain(permit(), never));
    expect(error.code).toBe('credential_expired');
    expect(error.retryAfterMs).toBeGreaterThan(0);
  });

  it('that comes back within the outage costs no request', async () => {
    await obtain();
    source.failure = away();
    await clock.advance(45 * MINUTE);
    source.failure = null;
    await clock.advance(MINUTE);
    expect((await obtain()).generation).toBe(2);
  });

  it('that comes back after the end is asked again within two seconds, by chance', async () => {
    await obtain();
    source.failure = away();
    await clock.advance(60 * MINUTE);
    await failure(stage.obtain(permit(), never));
    source.failure = null;
    await clock.advance(1500);
    expect((await obtain()).generation).toBe(2);
  });

  it('is not asked by every request', async () => {
    source.failure = away();
    for (let i = 0; i < 100; i++) await failure(stage.obtain(permit(), never));
    expect(source.fetches).toHaveLength(1);
    await clock.advance(1499);
    const error = await failure(stage.obtain(permit(), never));
    expect(error).toMatchObject({ code: 'credential_unavailable', retryAfterMs: 1, detail: 'sealed' });
    await clock.advance(1);
    await failure(stage.obtain(permit(), never));
    expect(source.fetches).toHaveLength(2);
  });

  it('is left alone for as long as it asks', async () => {
    source.failure = new EgressError('credential_unavailable', { retryAfterMs: 9000 });
    await failure(stage.obtain(permit(), never));
    await clock.advance(8999);
    await failure(stage.obtain(permit(), never));
    expect(source.fetches).toHaveLength(1);
  });

  it('leaves nothing behind', async () => {
    source.failure = away();
    await failure(stage.obtain(permit(), never));
    await clock.advance(11 * MINUTE);
    expect(clock.pending).toBe(0);
  });
});

describe('a source that refuses the workload', () => {
  it('ends the lease of that workload at once and is not asked for a minute', async () => {
    stage.release(await obtain());
    source.failure = refused();
    await clock.advance(40 * MINUTE);
    expect(source.fetches).toHaveLength(2);
    expect(source.grants[0]).toMatchObject({ revocations: 1 });
    expect(await failure(stage.obtain(permit(), never))).toMatchObject({ code: 'credential_denied' });
    source.failure = null;
    await failure(stage.obtain(permit(), never));
    await clock.advance(MINUTE);
    expect((await obtain()).generation).toBeGreaterThan(0);
  });

  it('is asked again at once after a policy change', async () => {
    source.failure = refused();
    await failure(stage.obtain(permit(), never));
    sources.set('vault', new FakeSource(clock));
    await obtain();
  });

  it('does not end it where only the call went wrong', async () => {
    await obtain();
    source.failure = new EgressError('credential_denied', { retryAfterMs: 10_000 });
    await clock.advance(40 * MINUTE);
    expect((await obtain()).generation).toBe(1);
  });

  it('does not end it where only the answer is unusable', async () => {
    await obtain();
    source.failure = new EgressError('credential_invalid');
    await clock.advance(40 * MINUTE);
    expect((await obtain()).generation).toBe(1);
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

describe('limits', () => {
  it('gives one workload so many leases and no more, and others theirs', async () => {
    stage = createStage(2);
    const of = (binding: string, who = workload()) => permit(who, binding, 'vault', false);
    await obtain(of('a'));
    await obtain(of('b'));
    const error = await failure(stage.obtain(of('c'), never));
    expect(error.code).toBe('credential_unavailable');
    expect(source.fetches).toHaveLength(2);
    await obtain(of('a', workload('other')));
  });

  it('gives each instance so many of its own, beside what all share', async () => {
    stage = createStage(1);
    for (const instance of ['i-1', 'i-2', 'i-3']) await obtain(permit(workload('agent', instance)));
    expect((await failure(stage.obtain(permit(workload('agent', 'i-3'), 'other'), never))).code).toBe(
      'credential_unavailable',
    );
    await obtain(permit(workload('agent', 'i-3'), 'shared', 'vault', false));
  });

  it('gives all workloads together so many of one source, and others theirs', async () => {
    stage = createStage(64, 2);
    sources.set('other', new FakeSource(clock, 'other'));
    for (const name of ['a', 'b']) await obtain(permit(workload(name)));
    const error = await failure(stage.obtain(permit(workload('c')), never));
    expect(error).toMatchObject({
      code: 'credential_unavailable',
      detail: 'the credential source has as many leases as it may',
    });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    await obtain(permit(workload('c'), 'openai', 'other'));
    stage.retireShared('a');
    await stage.close(1_000);
  });

  it('gives the place back after a failure and after the end', async () => {
    stage = createStage(1);
    source.failure = away();
    await failure(stage.obtain(permit(workload('agent', 'i-1')), never));
    source.failure = null;
    stage.release(await obtain(permit(workload('agent', 'i-2'))));
    await stage.revokeInstance('i-2');
    await obtain(permit(workload('agent', 'i-3')));
  });
});

describe('a lease that the instances of a workload share', () => {
  const shared = (instance: string | null, name = 'agent') =>
    permit(workload(name, instance), 'openai', 'vault', false);

  it('is one, obtained on nobody’s behalf, and not another workload’s', async () => {
    const first = await obtain(shared('i-1'));
    expect(await obtain(shared('i-2'))).toBe(first);
    expect(await obtain(shared(null))).toBe(first);
    expect(source.fetches.map(({ workload: who }) => [who.instance, who.evidence])).toEqual([[null, []]]);
    expect(stage.list()).toMatchObject([{ instance: null, inUse: 3 }]);
    expect(await obtain(shared('i-1', 'other'))).not.toBe(first);
  });

  it('outlives each of them, and ends with the exchanges that use it when none is left', async () => {
    const first = await obtain(shared('i-1'));
    expect(await stage.revokeInstance('i-1')).toEqual({ revoked: 0, failed: 0 });
    expect(source.grants[0]?.revocations).toBe(0);
    expect((await failure(stage.obtain(shared('i-1'), never))).code).toBe('credential_denied');
    await obtain(shared('i-3', 'other'));
    stage.retireShared('agent');
    expect(source.grants[0]?.revocations).toBe(0);
    stage.release(first);
    expect(source.grants.map(({ revocations }) => revocations)).toEqual([1, 0]);
    expect((await obtain(shared('i-2'))).generation).toBe(2);
  });

  it('is left alone where somebody waits for it', async () => {
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const waiting = stage.obtain(shared(null), never);
    await turn();
    stage.retireShared('agent');
    arrive();
    expect((await waiting)?.generation).toBe(1);
  });
});

describe('standings', () => {
  const only = () => {
    const [standing, second] = stage.standings();
    expect(second).toBeUndefined();
    return standing;
  };

  it('tell what is on its way, there, failing and over, and when that changed', async () => {
    expect(stage.standings()).toEqual([]);
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const pending = obtain(permit(workload('agent', 'i-1')));
    await turn();
    expect(only()).toMatchObject({ isPending: true, lease: null, error: null, generation: 0, instance: 'i-1' });
    await clock.advance(1000);
    arrive();
    const credential = await pending;
    expect(only()).toMatchObject({
      ...{ workload: 'agent', binding: 'openai', source: 'vault', way: 'injection' },
      ...{ isPending: false, lease: credential.lease, error: null, generation: 1, changedAt: clock.now() },
    });
    source.wait = () => Promise.resolve();
    source.failure = away();
    await clock.advance(45 * MINUTE);
    expect(only()).toMatchObject({
      lease: credential.lease,
      error: { code: 'credential_unavailable', detail: 'sealed' },
    });
    await clock.advance(15 * MINUTE);
    expect(only()).toMatchObject({ lease: null, isPending: false, error: { detail: 'sealed' } });
    expect(inspect(stage.standings(), { depth: 9 })).not.toContain(CANARY);
    await clock.advance(20 * MINUTE);
    expect(stage.standings()).toEqual([]);
  });

  it('tell a delivery from a request', async () => {
    const order = { workload: workload(), binding: 'openai', source: 'vault', form: 'parts', way: 'file' } as const;
    await stage.deliver(order, never);
    await obtain();
    expect(stage.standings().map(({ binding, way }) => [binding, way])).toEqual([
      ['openai', 'file'],
      ['openai', 'injection'],
    ]);
    await stage.endDelivery(order);
    expect(stage.standings().map(({ way }) => way)).toEqual(['injection']);
    expect(source.grants.map(({ revocations }) => revocations)).toEqual([1, 0]);
  });
});

describe('a delivery', () => {
  it('keeps its lease when no instance of the workload is left', async () => {
    const order = { workload: workload(), binding: 'openai', source: 'vault', form: 'parts', way: 'file' } as const;
    const credential = await stage.deliver(order, never);
    stage.release(credential);
    stage.retireShared('agent');
    expect(source.grants[0]?.revocations).toBe(0);
    expect(await stage.deliver(order, never)).toBe(credential);
    await stage.endDelivery(order);
    expect(source.grants[0]?.revocations).toBe(1);
  });
});

describe('revokeInstance', () => {
  it('revokes at once, also what is in use, and gives that instance nothing more', async () => {
    const mine = await obtain(permit(workload('agent', 'i-1')));
    await obtain(permit(workload('agent', 'i-2')));
    expect(await stage.revokeInstance('i-1')).toEqual({ revoked: 1, failed: 0 });
    expect(source.grants.map((grant) => grant.revocations)).toEqual([1, 0]);
    expect(source.grants[0]?.key.isDestroyed).toBe(false);
    stage.release(mine);
    expect(source.grants[0]?.key.isDestroyed).toBe(true);
    expect(stage.list().map((lease) => lease.instance)).toEqual(['i-2']);
    expect((await failure(stage.obtain(permit(workload('agent', 'i-1')), never))).code).toBe('credential_denied');
  });

  it('revokes what was on its way', async () => {
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const failing = failure(stage.obtain(permit(workload('agent', 'i-1')), never));
    await turn();
    await stage.revokeInstance('i-1');
    expect((await failing).code).toBe('credential_unavailable');
    arrive();
    await turn();
    expect(source.grants[0]).toMatchObject({ revocations: 1 });
    expect(stage.list()).toEqual([]);
  });
});

describe('close', () => {
  it('revokes every lease, used or not, and counts', async () => {
    const used = await obtain();
    stage.release(await obtain(permit(workload('other'))));
    await obtain(permit(workload('third')));
    if (source.grants[2] !== undefined) source.grants[2].revoking = () => Promise.reject(new Error('sealed'));
    expect(await stage.close(1000)).toEqual({ revoked: 2, failed: 1 });
    expect(source.grants.map((grant) => grant.revocations)).toEqual([1, 1, 1]);
    stage.release(used);
    expect(source.grants[0]?.key.isDestroyed).toBe(true);
    expect((await failure(stage.obtain(permit(), never))).code).toBe('draining');
    expect(clock.pending).toBe(0);
  });

  it('does not wait longer than the deadline for a source that does not listen', async () => {
    source.onGrant = (grant) => {
      grant.revoking = () => new Promise(() => {});
    };
    await obtain();
    const closing = stage.close(700);
    await clock.advance(700);
    expect(await closing).toEqual({ revoked: 0, failed: 1 });
  });

  it('revokes what arrives while it closes', async () => {
    let arrive = (): void => {};
    source.wait = () => new Promise<void>((resolve) => (arrive = resolve));
    const failing = failure(stage.obtain(permit(), never));
    await turn();
    const closing = stage.close(1000);
    await failing;
    arrive();
    expect(await closing).toEqual({ revoked: 1, failed: 0 });
  });

  it('may be called twice', async () => {
    await obtain();
    await stage.close(100);
    expect(await stage.close(100)).toEqual({ revoked: 0, failed: 0 });
  });
});

it('tells what happened without saying more than names', async () => {
  stage.release(await obtain());
  source.failure = away();
  await clock.advance(60 * MINUTE);
  expect(new Set(events.map((event) => event.kind))).toEqual(new Set(['obtained', 'failed', 'expired', 'revoked']));
  expect(JSON.stringify(events)).not.toContain('canary');
});
