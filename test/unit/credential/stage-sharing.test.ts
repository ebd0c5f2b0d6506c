import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { away, CANARY, FakeSource, permit, refused, workload } from './permits.ts';
import {
  clock,
  events,
  failure,
  MINUTE,
  never,
  obtain,
  openStage,
  opensAnewForEachTest,
  source,
  sources,
  stage,
  turn,
} from './stage-world.ts';

opensAnewForEachTest();

describe('limits', () => {
  it('gives one workload so many leases and no more, and others theirs', async () => {
    openStage(2);
    const of = (binding: string, who = workload()) => permit(who, binding, 'vault', false);
    await obtain(of('a'));
    await obtain(of('b'));
    const error = await failure(stage.obtain(of('c'), never));
    expect(error.code).toBe('credential_unavailable');
    expect(source.fetches).toHaveLength(2);
    await obtain(of('a', workload('other')));
  });

  it('gives each instance so many of its own, beside what all share', async () => {
    openStage(1);
    for (const instance of ['i-1', 'i-2', 'i-3']) await obtain(permit(workload('agent', instance)));
    expect((await failure(stage.obtain(permit(workload('agent', 'i-3'), 'other'), never))).code).toBe(
      'credential_unavailable',
    );
    await obtain(permit(workload('agent', 'i-3'), 'shared', 'vault', false));
  });

  it('gives all workloads together so many of one source, and others theirs', async () => {
    openStage(64, 2);
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
    openStage(1);
    source.failure = away();
    await failure(stage.obtain(permit(workload('agent', 'i-1')), never));
    source.failure = null;
    stage.release(await obtain(permit(workload('agent', 'i-2'))));
    await stage.revokeInstance('i-2');
    await obtain(permit(workload('agent', 'i-3')));
  });
});

describe('what a workload presented', () => {
  const presenting = (token: string, provenUntil?: number) =>
    permit(
      {
        ...{ ...workload(), presented: Secret.copyOf(Buffer.from(token)) },
        ...(provenUntil === undefined ? {} : { provenUntil }),
      },
      ...(['openai', 'vault', false] as const),
    );
  const seen = (): (string | undefined)[] => source.fetches.map((each) => each.workload.presented?.reveal().toString());

  it('earlier does not come back with a request on an older tunnel', async () => {
    stage.release(await obtain(presenting('first', 1_000)));
    stage.release(await obtain(presenting('second', 2_000)));
    stage.release(await obtain(presenting('first', 1_000)));
    await clock.advance(50 * MINUTE);
    await turn();
    expect(seen()).toEqual(['first', 'second']);
  });

  it('and was refused is not held against another token, but against the same', async () => {
    source.failure = refused();
    expect((await failure(stage.obtain(presenting('first', 1_000), never))).code).toBe('credential_denied');
    source.failure = null;
    expect((await failure(stage.obtain(presenting('first', 1_000), never))).code).toBe('credential_denied');
    stage.release(await obtain(presenting('second', 2_000)));
    expect(seen()).toEqual(['first', 'second']);
  });

  it('is that of the call, and of the last one where a lease is replaced later', async () => {
    stage.release(await obtain(presenting('first', 1_000)));
    stage.release(await obtain(presenting('second', 2_000)));
    stage.release(await obtain(permit(workload(), 'openai', 'vault', false)));
    expect(seen()).toEqual(['first']);
    await clock.advance(50 * MINUTE);
    await turn();
    expect(seen()).toEqual(['first', 'second']);
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
