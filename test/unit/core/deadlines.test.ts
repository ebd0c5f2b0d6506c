import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../../src/core/deadlines.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const watched = () => {
  const state = { deadline: Number.POSITIVE_INFINITY, expired: 0 };
  return Object.assign(state, {
    expire: () => {
      state.expired += 1;
    },
  });
};

describe('deadlines', () => {
  const clock = new FakeClock();

  it('expires once what is due, not before, at most a tick after', async () => {
    const deadlines = new Deadlines(clock, 1_000);
    const one = watched();
    one.deadline = deadlines.in(1_000);
    deadlines.watch(one);
    await clock.advance(990);
    expect(one.expired).toBe(0);
    await clock.advance(110);
    expect(one.expired).toBe(1);
    await clock.advance(1_000);
    expect(one.expired).toBe(1);
  });

  it('lets a deadline move, rest and be taken back', async () => {
    const deadlines = new Deadlines(clock, 100);
    const [moved, resting, unwatched] = [watched(), watched(), watched()];
    for (const each of [moved, resting, unwatched]) {
      each.deadline = deadlines.in(100);
      deadlines.watch(each);
    }
    moved.deadline = deadlines.in(300);
    resting.deadline = Number.POSITIVE_INFINITY;
    deadlines.unwatch(unwatched);
    await clock.advance(200);
    expect([moved.expired, resting.expired, unwatched.expired]).toEqual([0, 0, 0]);
    await clock.advance(120);
    expect([moved.expired, resting.expired, unwatched.expired]).toEqual([1, 0, 0]);
  });

  it('runs no timer where nothing is watched', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
    const one = watched();
    deadlines.watch(one);
    expect(clock.pending).toBe(1);
    deadlines.unwatch(one);
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });
});
