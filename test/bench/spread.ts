/** Duty: what many measurements of one thing come to: the median, and the extremes that show how noisy the machine was. */

export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), lowest: sorted[0] ?? Number.NaN, highest: sorted.at(-1) ?? Number.NaN };
}

/** Of ascending values: the smallest that at least this share does not exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function sortedCopy(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

/** `2.10 (1.98–2.31)` */
export function shown(values: readonly number[], digits: number): string {
  if (values.length === 0) return '–';
  const { median, lowest, highest } = spreadOf(values);
  return `${median.toFixed(digits)} (${lowest.toFixed(digits)}–${highest.toFixed(digits)})`;
}

/** One of the other, round by round: both were measured within the same seconds. */
export function pairwise(
  a: readonly number[],
  b: readonly number[],
  combine: (a: number, b: number) => number,
): number[] {
  return a.flatMap((value, i) => {
    const other = b[i];
    return other === undefined ? [] : [combine(value, other)];
  });
}

export const ratio = (a: number, b: number): number => a / b;
export const difference = (a: number, b: number): number => a - b;
