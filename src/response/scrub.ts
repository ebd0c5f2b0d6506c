/**
 * Duty: takes every occurrence of a secret out of what flows by.
 * In → Out: bytes in any cut → the same number of bytes, each that belonged to an occurrence replaced by `*`.
 * Holds: lengths do not change, so framing stays true; nothing is held back but a tail that may be the beginning of a
 *   needle, so an event of a stream leaves with the bytes that ended it.
 * Not here: encodings of the secret (the needles come from injection/); an upstream that helps can always find one
 *   that is not known, so the audience of a credential is the wall and this is the net behind it.
 */
import type { HeaderList } from '../core/headers.ts';
import type { NeedleSet, Range } from './needle-set.ts';

const STAR = 0x2a;
const NOTHING = Buffer.alloc(0);
const NO_MARKS: readonly Range[] = [];

export class Scrubber {
  readonly #needles: NeedleSet;
  /** Held-back bytes as they came, and the ranges in them that are part of an occurrence. */
  #held: Buffer = NOTHING;
  #marks: readonly Range[] = NO_MARKS;
  #count = 0;

  constructor(needles: NeedleSet) {
    this.#needles = needles;
  }

  /** Occurrences so far; overlapping ones count each. */
  get count(): number {
    return this.#count;
  }

  /** Takes the chunk over and may change it; returns what can go on: all where it is the last, otherwise maybe nothing. */
  push(chunk: Buffer, isLast = false): Buffer {
    const known = this.#held.length;
    const bytes = known === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const found = this.#needles.find(bytes);
    const ready = isLast ? bytes.length : bytes.length - this.#needles.heldLength(bytes);
    const marks: Range[] = [];
    for (const range of this.#marks) strike(bytes, range, ready, marks);
    for (const range of found) {
      // What ends within the bytes known before was found before.
      if (range[1] <= known) continue;
      this.#count += 1;
      strike(bytes, range, ready, marks);
    }
    this.#held = ready === bytes.length ? NOTHING : bytes.subarray(ready);
    this.#marks = marks.length === 0 ? NO_MARKS : marks;
    return ready === bytes.length ? bytes : bytes.subarray(0, ready);
  }

  /** What was held back; the stream is over. */
  flush(): Buffer {
    const rest = this.#held;
    for (const range of this.#marks) strike(rest, range, rest.length, []);
    this.#held = NOTHING;
    this.#marks = NO_MARKS;
    return rest;
  }
}

/** Replaces the part of `range` before `ready`; what lies behind is kept for later, for it may begin another occurrence. */
function strike(bytes: Buffer, [start, end]: Range, ready: number, later: Range[]): void {
  if (start < ready) bytes.fill(STAR, start, Math.min(end, ready));
  if (end > ready) later.push([Math.max(start, ready) - ready, end - ready]);
}

/** The text with all occurrences replaced, and how many there were. */
export function scrubText(needles: NeedleSet, text: string): { readonly text: string; readonly count: number } {
  if (text.length < needles.shortest) return { text, count: 0 };
  const bytes = Buffer.from(text, 'latin1');
  const found = needles.find(bytes);
  for (const [start, end] of found) bytes.fill(STAR, start, end);
  return found.length === 0 ? { text, count: 0 } : { text: bytes.toString('latin1'), count: found.length };
}

/** Cleans the values in place; a field with a secret in its very name goes away. Returns the number of occurrences. */
export function scrubFields(needles: NeedleSet, headers: HeaderList): number {
  if (!carriesAny(needles, headers)) return 0;
  let count = 0;
  const fields = [...headers];
  for (const { key } of fields) headers.delete(key);
  for (const { name, value } of fields) {
    const inName = scrubText(needles, name).count;
    const clean = scrubText(needles, value);
    count += inName + clean.count;
    if (inName === 0) headers.append(name, clean.text);
  }
  return count;
}

/** One search over all fields: nearly every head is clean. */
function carriesAny(needles: NeedleSet, headers: HeaderList): boolean {
  let text = '';
  for (const { name, value } of headers.fields) text += `${name}\n${value}\n`;
  return needles.find(Buffer.from(text, 'latin1')).length > 0;
}
