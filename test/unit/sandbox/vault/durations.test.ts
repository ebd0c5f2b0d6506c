import { describe, expect, it } from 'vitest';
import { capTtl, humanDuration, parseDurationMs } from '../../../../src/sandbox/vault/durations.ts';

const HOUR = 3_600_000;
const wish = {
  incrementMs: 0,
  backendMs: 0,
  backendMaxMs: 0,
  explicitMaxMs: 0,
  mountDefaultMs: 10 * HOUR,
  mountMaxMs: 20 * HOUR,
  ageMs: 0,
};

describe('a duration of Vault', () => {
  it.each([
    ['1h30m', 5_400_000],
    ['90', 90_000],
    [90, 90_000],
    ['1d', 24 * HOUR],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['', 0],
    ['-5s', -5_000],
    ['soon', null],
    ['1w', null],
    [true, null],
    [Number.NaN, null],
  ])('%j is %j ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it('is written without zero parts', () => {
    expect([0, 90_000, 24 * HOUR, HOUR + 1_000].map(humanDuration)).toEqual(['0s', '1m30s', '24h', '1h1s']);
  });
});

describe('a TTL', () => {
  it('is what was asked for, else what the role says, else the default of the mount', () => {
    expect(capTtl({ ...wish, incrementMs: HOUR, backendMs: 2 * HOUR }).ttlMs).toBe(HOUR);
    expect(capTtl({ ...wish, backendMs: 2 * HOUR }).ttlMs).toBe(2 * HOUR);
    expect(capTtl(wish).ttlMs).toBe(10 * HOUR);
  });

  it('is cut to the smallest maximum less its age, with a warning', () => {
    const capped = capTtl({
      ...wish,
      incrementMs: 6 * HOUR,
      backendMaxMs: 5 * HOUR,
      explicitMaxMs: 8 * HOUR,
      ageMs: HOUR,
    });
    expect(capped.ttlMs).toBe(4 * HOUR);
    expect(capped.warnings).toEqual([
      'TTL of "6h" exceeded the effective max_ttl of "4h"; TTL value is capped accordingly',
    ]);
  });

  it('is nothing past the maximum', () => {
    expect(capTtl({ ...wish, backendMaxMs: HOUR, ageMs: 2 * HOUR }).ttlMs).toBeLessThanOrEqual(0);
  });
});
