/** Duty: what the fuzzer drives: something that takes hostile text and must keep its promises whatever the text is. */
import type { Random } from './random.ts';

export interface Sample {
  /** Latin-1, one character a byte: what is mutated, and what the minimiser cuts down. */
  readonly text: string;
  /** What else the target needs to read it; plain values only, so that it can be written into a file. */
  readonly more?: unknown;
}

export type Verdict = { readonly kind: 'accepted' | 'refused' } | { readonly kind: 'finding'; readonly what: string };

export interface Target {
  readonly name: string;
  /** Share of all cases, relative to the other targets. */
  readonly weight: number;
  draw(random: Random): Sample;
  /** What it throws is a finding too. */
  check(sample: Sample, count?: (exception: string) => void): Verdict;
}

export const ACCEPTED: Verdict = Object.freeze({ kind: 'accepted' });
export const REFUSED: Verdict = Object.freeze({ kind: 'refused' });
export const finding = (what: string): Verdict => ({ kind: 'finding', what });

export function checkSafely(target: Target, sample: Sample, count?: (exception: string) => void): Verdict {
  try {
    return target.check(sample, count);
  } catch (thrown) {
    return finding(`throws ${thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)}`);
  }
}
