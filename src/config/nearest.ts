/**
 * Duty: "did you mean": the known word that is nearest to one that is not known.
 * Holds: at most three edits, and no more than a third of the word; bounded work for words of any length.
 * Source: optimal string alignment distance (a swap of neighbours is one edit).
 */

const MAX_LENGTH = 64;
const MAX_EDITS = 3;

/** Null where none is near. */
export function nearest(word: string, known: Iterable<string>): string | null {
  if (word.length > MAX_LENGTH) return null;
  const limit = Math.min(MAX_EDITS, Math.max(1, Math.floor(word.length / 3)));
  let best: { readonly text: string; readonly edits: number } | null = null;
  for (const text of known) {
    if (Math.abs(text.length - word.length) > limit) continue;
    const edits = text.toLowerCase() === word.toLowerCase() ? 0 : editDistance(word, text);
    if (edits <= limit && (best === null || edits < best.edits)) best = { text, edits };
  }
  return best?.text ?? null;
}

/** `did you mean "x"?`, or all that is known, or that nothing is. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  if (near !== null) return `did you mean "${near}"?`;
  if (known.length === 0) return '';
  const shown = [...known].sort().slice(0, 20);
  return `known are ${shown.join(', ')}${shown.length < known.length ? ', …' : ''}`;
}

function editDistance(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const cost = one[i - 1] === other[j - 1] ? 0 : 1;
      let edits = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isSwap) edits = Math.min(edits, (beforeLast[j - 2] ?? 0) + 1);
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[other.length] ?? 0;
}
