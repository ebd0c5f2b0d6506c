import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import { NeedleSet } from '../../../src/response/needle-set.ts';
import { Scrubber, scrubFields, scrubText } from '../../../src/response/scrub.ts';

const setOf = (...needles: readonly (string | Buffer)[]): NeedleSet => {
  const set = NeedleSet.of(needles.map((needle) => Buffer.from(needle)));
  if (set === null) throw new Error('no needles');
  return set;
};

const scrubbed = (set: NeedleSet, chunks: readonly Buffer[]): { pieces: Buffer[]; count: number } => {
  const scrubber = new Scrubber(set);
  // Copies: the scrubber owns what it gets, and the property wants the original.
  const pieces = chunks.map((chunk) => Buffer.from(scrubber.push(Buffer.from(chunk))));
  pieces.push(Buffer.from(scrubber.flush()));
  return { pieces, count: scrubber.count };
};

const inCuts = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
};

/** The meaning, written the slow way. */
const expected = (needles: readonly Buffer[], bytes: Buffer): Buffer => {
  const out = Buffer.from(bytes);
  for (const needle of needles) {
    for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + 1)) {
      out.fill('*', at, at + needle.length);
    }
  }
  return out;
};

describe('scrub', () => {
  it('replaces each secret by as many stars and leaves the rest as it was', () => {
    const { pieces, count } = scrubbed(setOf('sk-secret-0123', 'other-secret'), [
      Buffer.from('a sk-secret-0123 b other-secret sk-secret-012'),
    ]);
    expect(Buffer.concat(pieces).toString()).toBe('a ************** b ************ sk-secret-012');
    expect(count).toBe(2);
  });

  it('finds a secret in every cut, also byte by byte', () => {
    const text = Buffer.from('xx sk-secret-0123 yy');
    const set = setOf('sk-secret-0123');
    for (let cut = 0; cut <= text.length; cut++) {
      const { pieces, count } = scrubbed(set, inCuts(text, [cut]));
      expect(Buffer.concat(pieces).toString()).toBe('xx ************** yy');
      expect(count).toBe(1);
    }
    expect(
      Buffer.concat(
        scrubbed(
          set,
          [...text].map((byte) => Buffer.of(byte)),
        ).pieces,
      ).toString(),
    ).toBe('xx ************** yy');
  });

  it('holds back nothing but the beginning of a secret', () => {
    const scrubber = new Scrubber(setOf('sk-secret-0123'));
    expect(scrubber.push(Buffer.from('data: {"a":1}\n\n')).toString()).toBe('data: {"a":1}\n\n');
    expect(scrubber.push(Buffer.from('hello sk-sec')).toString()).toBe('hello ');
    expect(scrubber.push(Buffer.from('ond\n\n')).toString()).toBe('sk-second\n\n');
    expect(scrubber.push(Buffer.from('sksk-s')).toString()).toBe('sk');
    expect(scrubber.flush().toString()).toBe('sk-s');
  });

  it('counts an occurrence once that was held back as the beginning of another', () => {
    const set = setOf('abc', 'xabcdefgh');
    for (let cut = 0; cut <= 8; cut++) {
      const { pieces, count } = scrubbed(set, inCuts(Buffer.from('-xabcde-'), [cut]));
      expect([Buffer.concat(pieces).toString(), count]).toEqual(['-x***de-', 1]);
    }
  });

  it('strikes out both of two secrets that overlap, over a cut too', () => {
    const set = setOf('abcdef', 'defghi', 'bcd');
    for (let cut = 0; cut <= 11; cut++) {
      const { pieces } = scrubbed(set, inCuts(Buffer.from('-abcdefghi-'), [cut]));
      expect(Buffer.concat(pieces).toString()).toBe('-*********-');
    }
  });

  it('property: whatever the needles, the body and the cuts, it is the slow definition, and no needle survives', () => {
    // Few letters, so that needles repeat, overlap and contain each other.
    const letters = fc.constantFrom(0x61, 0x62, 0x0a);
    const bytes = (min: number, max: number) =>
      fc.array(letters, { minLength: min, maxLength: max }).map((list) => Buffer.from(list));
    fc.assert(
      fc.property(
        fc.array(bytes(1, 9), { minLength: 1, maxLength: 6 }),
        bytes(0, 80),
        fc.array(fc.nat(80), { maxLength: 8 }),
        (needles, body, cuts) => {
          const out = Buffer.concat(scrubbed(setOf(...needles), inCuts(body, cuts)).pieces);
          expect(out.toString()).toBe(expected(needles, body).toString());
          for (const needle of needles) expect(out.includes(needle)).toBe(false);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('property: secrets of real length, planted in random bytes at random places', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 12, maxLength: 300 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 200 })), { maxLength: 8 }),
        fc.array(fc.nat(5_000), { maxLength: 10 }),
        (needles, parts, cuts) => {
          const all = needles.map((needle) => Buffer.from(needle));
          const body = Buffer.concat(
            parts.flatMap(([which, filling]) => [filling, all[which % all.length] ?? Buffer.alloc(0)]),
          );
          const out = Buffer.concat(scrubbed(setOf(...all), inCuts(body, cuts)).pieces);
          expect(out.equals(expected(all, body))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is not slowed down by a body made to look like the secret over and over', () => {
    const secret = `${'a'.repeat(200)}b`;
    const scrubber = new Scrubber(setOf(secret, 'a'.repeat(199)));
    let passed = 0;
    for (let i = 0; i < 16; i++) passed += scrubber.push(Buffer.alloc(65_536, 'a')).length;
    expect(passed + scrubber.flush().length).toBe(16 * 65_536);
  });

  it('has nothing to do where there are no needles, or only empty ones', () => {
    expect(NeedleSet.of([])).toBeNull();
    expect(NeedleSet.of([Buffer.alloc(0)])).toBeNull();
  });

  it('is made once for the same needles', () => {
    const needles = [Buffer.from('sk-secret')];
    expect(NeedleSet.of(needles)).toBe(NeedleSet.of(needles));
  });

  it('cleans values of fields and drops a field that has a secret for its name', () => {
    const headers = HeaderList.of(['X-Echo', 'k=sk-secret-0123;'], ['sk-secret-0123', 'x'], ['X-Ok', 'æ']);
    expect(scrubFields(setOf('sk-secret-0123'), headers)).toBe(2);
    expect([...headers].map(({ name, value }) => [name, value])).toEqual([
      ['X-Echo', 'k=**************;'],
      ['X-Ok', 'æ'],
    ]);
  });

  it('leaves a clean head alone', () => {
    const headers = HeaderList.of(['A', '1'], ['B', '2']);
    expect(scrubFields(setOf('sk-secret-0123'), headers)).toBe(0);
    expect(headers.size).toBe(2);
    expect(scrubText(setOf('sk-secret-0123'), 'OK')).toEqual({ text: 'OK', count: 0 });
  });
});
