import { describe, expect, it } from 'vitest';
import { ClockSkew } from '../../../../src/injection/sigv4/skew.ts';

const NOW = Date.parse('2026-01-15T12:00:00Z');
const HOST = 's3.us-east-1.amazonaws.com';
const dateAt = (epochMs: number): string => new Date(epochMs).toUTCString();
const MINUTE = 60_000;

describe('the skew of a clock', () => {
  it('is none for a host that has said nothing', () => {
    expect(new ClockSkew().at(HOST)).toBe(0);
  });

  it('is what a host says, for that host alone', () => {
    const skew = new ClockSkew();
    expect(skew.learn(HOST, dateAt(NOW + 20 * MINUTE), NOW)).toBe(true);
    expect([skew.at(HOST), skew.at('sts.amazonaws.com')]).toEqual([20 * MINUTE, 0]);
  });

  it('is learned once, and again when the clock was put right', () => {
    const skew = new ClockSkew();
    expect(skew.learn(HOST, dateAt(NOW - 20 * MINUTE), NOW)).toBe(true);
    expect(skew.learn(HOST, dateAt(NOW - 21 * MINUTE), NOW)).toBe(false);
    expect(skew.learn(HOST, dateAt(NOW), NOW)).toBe(true);
    expect(skew.at(HOST)).toBe(0);
  });

  it.each([
    ['no date', undefined],
    ['a date like ours', dateAt(NOW + 3 * MINUTE)],
    ['a date more than a day away', dateAt(NOW + 25 * 60 * MINUTE)],
    ['a number', '1768478400'],
    ['a date in another form', '2026-01-15T12:30:00Z'],
    ['nonsense', 'Thu, 99 Jan 2026 12:30:00 GMT'],
  ])('is not learned from %s', (_what, date) => {
    const skew = new ClockSkew();
    expect(skew.learn(HOST, date, NOW)).toBe(false);
    expect(skew.at(HOST)).toBe(0);
  });

  it('is forgotten for the host that was learned longest ago, where there are many', () => {
    const skew = new ClockSkew();
    for (let i = 0; i < 300; i++) skew.learn(`h${i}.amazonaws.com`, dateAt(NOW + 10 * MINUTE), NOW);
    expect([skew.at('h0.amazonaws.com'), skew.at('h299.amazonaws.com')]).toEqual([0, 10 * MINUTE]);
  });
});
