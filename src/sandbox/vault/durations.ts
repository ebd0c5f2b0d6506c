/**
 * Duty: Vault's durations: reading them, capping them, writing them for people.
 * In → Out: `"1h30m"`, `90`, `"90"` → `ms`; wishes and limits → the TTL that counts, with a warning where it was cut.
 * Source: Vault documentation, "Duration format strings"; the cap follows the order mount, role, explicit maximum.
 */

/** System default and maximum of a Vault without configuration. */
export const SYSTEM_TTL_MS = 768 * 3_600_000;

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** Null: not a duration. */
export function parseDurationMs(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.trunc(value) * 1_000 : null;
  if (typeof value !== 'string') return null;
  if (value === '') return 0;
  if (/^-?[0-9]{1,12}$/.test(value)) return Number(value) * 1_000;
  if (!/^-?(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d))+$/.test(value)) return null;
  let ms = 0;
  for (const [, amount, unit] of value.matchAll(/([0-9.]+)(ms|s|m|h|d)/g)) {
    ms += Number(amount) * (UNIT_MS.get(unit ?? '') ?? 0);
  }
  return value.startsWith('-') ? -ms : ms;
}

export interface TtlWish {
  /** What the caller asked for; 0: nothing. */
  readonly incrementMs: number;
  /** What role or engine say; 0: nothing. */
  readonly backendMs: number;
  readonly backendMaxMs: number;
  readonly explicitMaxMs: number;
  readonly mountDefaultMs: number;
  readonly mountMaxMs: number;
  /** Since the first issue. */
  readonly ageMs: number;
}

export interface CappedTtl {
  /** Not above 0: past the maximum. */
  readonly ttlMs: number;
  readonly warnings: readonly string[];
}

export function capTtl(wish: TtlWish): CappedTtl {
  let maxMs = wish.mountMaxMs;
  if (wish.backendMaxMs > 0) maxMs = Math.min(maxMs, wish.backendMaxMs);
  if (wish.explicitMaxMs > 0) maxMs = Math.min(maxMs, wish.explicitMaxMs);
  const wantedMs = wish.incrementMs > 0 ? wish.incrementMs : wish.backendMs > 0 ? wish.backendMs : wish.mountDefaultMs;
  const leftMs = maxMs - wish.ageMs;
  if (wantedMs <= leftMs) return { ttlMs: wantedMs, warnings: [] };
  const warning = `TTL of "${humanDuration(wantedMs)}" exceeded the effective max_ttl of "${humanDuration(Math.ceil(leftMs / 1_000) * 1_000)}"; TTL value is capped accordingly`;
  return { ttlMs: leftMs, warnings: [warning] };
}

/** Whole seconds, rounded down. */
export function toSeconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1_000));
}

/** `1h30m`, zero parts left out. */
export function humanDuration(ms: number): string {
  const seconds = toSeconds(ms);
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ] as const;
  return parts.map(([amount, unit]) => (amount === 0 ? '' : `${amount}${unit}`)).join('') || '0s';
}
