import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { away, FakeSource, permit, refused } from './permits.ts';
import { clock, failure, MINUTE, never, obtain, opensAnewForEachTest, source, sources, stage } from './stage-world.ts';

opensAnewForEachTest();

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
