import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { destroySecrets, type JsonValue, readJson, readJsonAndKeep } from '../../../src/vault/json.ts';

const read = (text: string | Buffer, members: readonly string[] = []): JsonValue =>
  readJson(Buffer.from(text), members);

/** The value as JSON.parse would give it, with the secrets opened. */
function opened(value: JsonValue): unknown {
  if (value instanceof Secret) return value.reveal().toString();
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [name, opened(inner)]));
  return Array.isArray(value) ? value.map(opened) : value;
}

function refusal(text: string | Buffer): EgressError {
  try {
    read(text, ['data']);
  } catch (thrown) {
    if (thrown instanceof EgressError) return thrown;
    throw thrown;
  }
  throw new Error(`was read: ${text}`);
}

describe('readJson', () => {
  it('reads what JSON.parse reads, with every string a secret', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (text) => {
        const parsed: unknown = JSON.parse(text);
        expect(opened(read(text))).toEqual(noMinusZero(parsed));
        expect(opened(read(`{"data":${text}}`, ['data']))).toEqual({ data: noMinusZero(parsed) });
      }),
      { numRuns: 300 },
    );
  });

  it('cuts strings below the chosen members out as secrets, and no others', () => {
    const value = read('{"data":{"a":"x","deep":[{"b":"y"}]},"auth":{"client_token":"t","accessor":"acc"}}', [
      'data',
      'auth.client_token',
    ]) as Map<string, Map<string, JsonValue>>;
    expect(value.get('data')?.get('a')).toBeInstanceOf(Secret);
    expect(value.get('auth')?.get('client_token')).toBeInstanceOf(Secret);
    expect(value.get('auth')?.get('accessor')).toBe('acc');
    expect(JSON.stringify([...(value.get('data') ?? [])])).not.toContain('x"');
  });

  it('undoes every escape', () => {
    const text = String.raw`"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"`;
    expect(read(text)).toBe(JSON.parse(text));
  });

  it('zeroes the body, also where it is malformed', () => {
    for (const text of ['{"data":{"api_key":"canary"}}', '{"data":{"api_key":"canary"},}']) {
      const body = Buffer.from(text);
      try {
        readJson(body, ['data']);
      } catch {}
      expect(body.every((byte) => byte === 0)).toBe(true);
    }
  });

  it.each([
    ['a duplicate name', '{"a":1,"a":2}'],
    ['a duplicate name spelled with an escape', String.raw`{"a":1,"\u0061":2}`],
    ['a trailing comma', '{"a":1,}'],
    ['a trailing comma in a list', '[1,]'],
    ['a missing comma', '[1 2]'],
    ['a missing colon', '{"a" 1}'],
    ['a name without quotes', '{a:1}'],
    ['two values', '{} {}'],
    ['nothing', ''],
    ['an open string', '"abc'],
    ['an open object', '{"a":1'],
    ['a raw line feed in a string', '"a\nb"'],
    ['a lone surrogate', String.raw`"\ud800"`],
    ['a surrogate pair in the wrong order', String.raw`"\ude00\ud83d"`],
    ['a short unicode escape', String.raw`"\u12"`],
    ['an unknown escape', String.raw`"\x41"`],
    ['a leading zero', '01'],
    ['a plus sign', '+1'],
    ['a bare point', '1.'],
    ['hexadecimal', '0x10'],
    ['NaN', 'NaN'],
    ['an endless number', '1e999'],
    ['a number of many digits', '1'.repeat(41)],
    ['a word with another case', 'True'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22])],
    ['a depth of 34', `${'['.repeat(34)}${']'.repeat(34)}`],
    ['more than 256 KiB', `"${'a'.repeat(256 * 1024)}"`],
  ])('refuses %s', (_name, text) => {
    expect(refusal(text).code).toBe('credential_invalid');
  });

  it('reads a depth of 32', () => {
    expect(() => read(`${'['.repeat(33)}${']'.repeat(33)}`)).not.toThrow();
  });

  it('takes __proto__ for a name like any other', () => {
    expect((read('{"__proto__":{"a":1}}') as Map<string, JsonValue>).has('__proto__')).toBe(true);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it('destroys all secrets but those that are kept', () => {
    const value = read('{"data":{"a":"x","list":["y"]}}', ['data']) as Map<string, Map<string, JsonValue>>;
    const a = value.get('data')?.get('a') as Secret;
    const y = ((value.get('data')?.get('list') ?? []) as JsonValue[])[0] as Secret;
    destroySecrets(value, new Set([a]));
    expect([a.isDestroyed, y.isDestroyed]).toEqual([false, true]);
  });
});

/** JSON text has no minus zero of its own that would matter here. */
const noMinusZero = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('readJsonAndKeep', () => {
  it('gives the bytes of one member as they were sent, whatever stands in it, and zeroes the rest', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.json(), (text, other) => {
        const body = Buffer.from(`{ "a": ${other}, "inner": {"data": 1}, "data" :\n ${text} , "z":"\\u0041"}`);
        const { value, raw } = readJsonAndKeep(body, ['data'], 'data');
        expect(raw?.reveal().toString()).toBe(text.trim());
        expect(opened(value)).toMatchObject({ data: noMinusZero(JSON.parse(text)), z: 'A' });
        expect(body.every((byte) => byte === 0)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('gives nothing where there is no such member at the root', () => {
    expect(readJsonAndKeep(Buffer.from('{"x":{"data":{"a":"b"}}}'), [], 'data').raw).toBeNull();
    expect(readJsonAndKeep(Buffer.from('[{"data":1}]'), [], 'data').raw).toBeNull();
  });

  it('refuses what readJson refuses', () => {
    const body = Buffer.from('{"data":{"a":"canary"}, "data":1}');
    expect(() => readJsonAndKeep(body, ['data'], 'data')).toThrow(/occurs twice/);
    expect(body.every((byte) => byte === 0)).toBe(true);
  });
});
