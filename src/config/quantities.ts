/**
 * Duty: quantities with their unit: `30s`, `8MiB`, `600/min`.
 * Holds: takes only what shapes.ts let pass.
 */
import { parseDuration } from '../core/duration.ts';

const SIZES: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };
const PERIODS: Readonly<Record<string, number>> = { s: 1_000, min: 60_000, h: 3_600_000 };

/** In `ms`. */
export const durationMs = (text: string): number => parseDuration(text) ?? Number.NaN;

/** In `bytes`. */
export const sizeBytes = (text: string): number => amount(text, SIZES);

export function rateOf(text: string): { readonly count: number; readonly perMs: number } {
  const slash = text.indexOf('/');
  return { count: Number(text.slice(0, slash)), perMs: PERIODS[text.slice(slash + 1)] ?? 0 };
}

function amount(text: string, units: Readonly<Record<string, number>>): number {
  const digits = /^[0-9]+/.exec(text)?.[0] ?? '';
  return Number(digits) * (units[text.slice(digits.length)] ?? Number.NaN);
}
