/** Duty: the scrubber: no needle leaves it, in whatever cuts it came, and nothing else changes. */
import { NeedleSet } from '../../../src/response/needle-set.ts';
import { Scrubber } from '../../../src/response/scrub.ts';
import type { Random } from '../random.ts';
import { ACCEPTED, finding, REFUSED, type Sample, type Target } from '../target.ts';
import { drawCuts } from '../wire/cases.ts';

interface More {
  readonly needles: readonly string[];
  readonly cuts: readonly number[];
}

export const scrubTarget: Target = {
  name: 'scrub',
  weight: 6,
  draw(random: Random): Sample {
    // Few letters: needles overlap, begin within each other, and nearly occur.
    const letters = random.chance(70) ? ['a', 'b'] : ['a', 'b', '\0', '\xff', 'c', 'd'];
    const word = (most: number): string => random.pick(letters) + random.text(most, () => random.pick(letters));
    const needles = Array.from({ length: random.between(1, 6) }, () => word(random.chance(90) ? 8 : 60));
    const text = random.text(12, () => (random.chance(50) ? random.pick(needles) : word(6)));
    return { text, more: { needles, cuts: drawCuts(random, text) } };
  },
  check({ text, more }) {
    const { needles, cuts } = more as More;
    const set = NeedleSet.of(needles.map((needle) => Buffer.from(needle, 'latin1')));
    if (set === null) return finding('needles are lost');
    const scrubber = new Scrubber(set);
    const ends = [...cuts.filter((cut) => cut < text.length), text.length];
    let clean = '';
    for (const [i, end] of ends.entries()) {
      clean += scrubber.push(Buffer.from(text.slice(ends[i - 1] ?? 0, end), 'latin1')).toString('latin1');
    }
    clean += scrubber.flush().toString('latin1');
    const wanted = scrubbed(text, needles);
    if (clean !== wanted) return finding(`gives ${JSON.stringify(clean)} in place of ${JSON.stringify(wanted)}`);
    return clean === text ? REFUSED : ACCEPTED;
  },
};

/** The same, in the plainest way. */
function scrubbed(text: string, needles: readonly string[]): string {
  const hit = new Set<number>();
  for (const needle of needles) {
    for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + 1)) {
      for (let i = at; i < at + needle.length; i++) hit.add(i);
    }
  }
  return [...text].map((letter, i) => (hit.has(i) ? '*' : letter)).join('');
}
