import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/core/clock.ts';
import { decide } from '../../../src/policy/decide.ts';
import { createLimiter } from '../../../src/policy/limiter.ts';
import type { PolicyLimits } from '../../../src/policy/options.ts';
import { Permit } from '../../../src/policy/permit.ts';
import { ask, head, policy, revision, service, workload } from './question.ts';

class TestClock implements Clock {
  ms = 1_000;
  now = (): number => 0;
  monotonicMs = (): number => this.ms;
  schedule = (): never => {
    throw new Error('the limiter needs no timer');
  };
}

function permit(
  limits: Partial<PolicyLimits>,
  name = 'agent',
  instance: string | null = null,
  policyName = 'p',
): Permit {
  const all = { requests: null, concurrent: null, ...limits };
  const of = revision({
    services: [service('s', ['x.test:443'])],
    policies: [policy(policyName, [{}], { limits: all, workloads: [name] })],
  });
  const outcome = decide(ask(of, 'x.test', head('GET', '/'), { workload: workload(name, instance) }));
  if (outcome instanceof Permit) return outcome;
  throw new Error(outcome.reason);
}

const said = (outcome: ReturnType<ReturnType<typeof createLimiter>['admit']>): string =>
  typeof outcome === 'function' ? 'admitted' : outcome.reason;

describe('requests in a window', () => {
  const three = permit({ requests: { count: 3, perMs: 60_000 } });

  it('admits as many as the window has, then says when to come again', () => {
    const clock = new TestClock();
    const limiter = createLimiter(clock);
    expect([1, 2, 3, 4].map(() => said(limiter.admit(three)))).toEqual([
      'admitted',
      'admitted',
      'admitted',
      'rate_limited',
    ]);
    expect(limiter.admit(three)).toMatchObject({
      retryAfterMs: 20_000,
      rule: 'p/0',
      revision: 'abcdef012345',
      detail: 'at most 3 in 60000 ms',
    });
    clock.ms += 19_999;
    expect(said(limiter.admit(three))).toBe('rate_limited');
    clock.ms += 1;
    expect([said(limiter.admit(three)), said(limiter.admit(three))]).toEqual(['admitted', 'rate_limited']);
  });

  it('counts all instances of a workload together, and workloads and policies apart', () => {
    const limiter = createLimiter(new TestClock());
    const one = { requests: { count: 1, perMs: 60_000 } };
    expect(said(limiter.admit(permit(one, 'agent', 'i-1')))).toBe('admitted');
    expect(said(limiter.admit(permit(one, 'agent', 'i-2')))).toBe('rate_limited');
    expect(said(limiter.admit(permit(one, 'other')))).toBe('admitted');
    expect(said(limiter.admit(permit(one, 'agent', null, 'q')))).toBe('admitted');
  });

  it('never admits more than a full bucket and what has flowed in since', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 60 }), (gaps) => {
        const clock = new TestClock();
        const limiter = createLimiter(clock);
        let admitted = 0;
        for (const gap of gaps) {
          clock.ms += gap;
          if (said(limiter.admit(three)) === 'admitted') admitted++;
        }
        expect(admitted).toBeLessThanOrEqual(3 + Math.floor((clock.ms - 1_000) / 20_000 + 1e-6));
      }),
      { numRuns: 200 },
    );
  });

  it('a clock that stands still or goes back gives nothing', () => {
    const clock = new TestClock();
    const limiter = createLimiter(clock);
    for (let i = 0; i < 3; i++) limiter.admit(three);
    for (let i = 0; i < 100; i++) {
      clock.ms += i % 2 === 0 ? -500 : 500;
      expect(limiter.admit(three)).toMatchObject({ reason: 'rate_limited', retryAfterMs: 20_000 });
    }
  });
});

describe('requests at once', () => {
  const two = permit({ concurrent: 2 });

  it('admits up to the limit and again after one is over', () => {
    const limiter = createLimiter(new TestClock());
    const first = limiter.admit(two);
    expect([said(first), said(limiter.admit(two)), said(limiter.admit(two))]).toEqual([
      'admitted',
      'admitted',
      'concurrency_limited',
    ]);
    if (typeof first === 'function') first();
    expect([said(limiter.admit(two)), said(limiter.admit(two))]).toEqual(['admitted', 'concurrency_limited']);
  });

  it('a place given back twice is one place', () => {
    const limiter = createLimiter(new TestClock());
    const held = [limiter.admit(two), limiter.admit(two)];
    for (let i = 0; i < 3; i++) if (typeof held[0] === 'function') held[0]();
    expect([said(limiter.admit(two)), said(limiter.admit(two))]).toEqual(['admitted', 'concurrency_limited']);
  });

  it('a request refused for concurrency costs nothing of the window', () => {
    const limiter = createLimiter(new TestClock());
    const both = permit({ concurrent: 1, requests: { count: 2, perMs: 1_000 } });
    const first = limiter.admit(both);
    for (let i = 0; i < 5; i++) expect(said(limiter.admit(both))).toBe('concurrency_limited');
    if (typeof first === 'function') first();
    expect(said(limiter.admit(both))).toBe('admitted');
  });
});

it('a permit without limits is admitted always', () => {
  const limiter = createLimiter(new TestClock());
  const free = permit({});
  for (let i = 0; i < 100; i++) expect(said(limiter.admit(free))).toBe('admitted');
});
