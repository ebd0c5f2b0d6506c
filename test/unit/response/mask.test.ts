import { describe, expect, it } from 'vitest';
import { JsonMask } from '../../../src/response/mask.ts';

const masked = (text: string, { names = ['api_key', 'token'], cuts = [] as number[], lines = false } = {}) => {
  const mask = new JsonMask(new Set(names), lines);
  const bytes = Buffer.from(text);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    mask.apply(bytes.subarray(from, cut));
    from = cut;
  }
  return { text: bytes.toString(), count: mask.count };
};

describe('mask', () => {
  it('hides string values of named members at any depth, and keeps every length', () => {
    const { text, count } = masked('{"a":[{"api_key" : "abc\\"d", "b":"api_key"}],"token":"t"}');
    expect(text).toBe('{"a":[{"api_key" : "******", "b":"api_key"}],"token":"*"}');
    expect(count).toBe(2);
  });

  it('gives the same in every cut', () => {
    const source = '{"x":1,"api_key":"a\\\\","token":"t\\u0022","y":"z"}';
    const whole = masked(source).text;
    expect(whole).toBe('{"x":1,"api_key":"***","token":"*******","y":"z"}');
    for (let cut = 0; cut <= source.length; cut++) expect(masked(source, { cuts: [cut] }).text).toBe(whole);
    expect(masked(source, { cuts: [...source].map((_, i) => i) }).text).toBe(whole);
  });

  it('knows a name that was spelled with escapes', () => {
    expect(masked('{"\\u0061pi_ke\\u0079":"abc"}').text).toBe('{"\\u0061pi_ke\\u0079":"***"}');
    expect(masked('{"clé":"abc"}', { names: ['clé'] }).text).toBe('{"clé":"***"}');
  });

  it('leaves other values, longer names and values that are no strings', () => {
    for (const text of [
      '{"api_keys":"abc"}',
      '{"token":12,"a":"b"}',
      '{"token":["a"]}',
      '["token","abc"]',
      '{"token":{"a":"b"}}',
    ]) {
      expect(masked(text)).toEqual({ text, count: 0 });
    }
  });

  it('hides in each event of a stream, and an odd quote ends with its line', () => {
    const text = ': it"s a comment\ndata: {"token":"abc"}\n\ndata: {"token":"de"}\n\n';
    expect(masked(text, { lines: true }).text).toBe(
      ': it"s a comment\ndata: {"token":"***"}\n\ndata: {"token":"**"}\n\n',
    );
  });
});
