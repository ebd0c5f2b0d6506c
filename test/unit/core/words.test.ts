import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { EgressError, ERRORS, toEgressError } from '../../../src/core/errors.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import { bodyOf, collectBody } from '../../../src/core/message.ts';
import { REASONS } from '../../../src/core/reasons.ts';
import { Secret, withoutBlankEnd } from '../../../src/core/secret.ts';
import { createSpiffeId, parseSpiffeId } from '../../../src/core/spiffe-id.ts';

describe('Secret', () => {
  const canary = 'canary-4f1c9b7e2d';

  it('never shows its value', () => {
    const secret = Secret.copyOf(Buffer.from(canary));
    for (const shown of [
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { depth: 9, showHidden: true }),
      JSON.stringify(Object.entries(secret)),
    ]) {
      expect(shown).not.toContain(canary);
    }
  });

  it('keeps a copy of its own and zeroes it at its end', () => {
    const given = Buffer.from(canary);
    const secret = Secret.copyOf(given);
    given.fill(0);
    const bytes = secret.reveal();
    expect(bytes.toString()).toBe(canary);
    expect(bytes.buffer.byteLength).toBe(canary.length);
    secret.destroy();
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(() => secret.reveal()).toThrow(expect.objectContaining({ code: 'secret_destroyed' }));
  });

  it.each([
    ['hvs.token\n', 'hvs.token'],
    ['hvs.token \t\r\n\n', 'hvs.token'],
    [' two words', ' two words'],
    [' \n', ''],
    ['', ''],
  ])('has no blanks at the end of the file that it was in: %j', (held, kept) => {
    expect(withoutBlankEnd(Buffer.from(held)).toString()).toBe(kept);
  });
});

describe('SpiffeId', () => {
  it('round-trips', () => {
    expect(parseSpiffeId('spiffe://example.org/ns/a/sa/b')).toEqual(createSpiffeId('example.org', '/ns/a/sa/b'));
  });

  it.each([
    ['http://example.org/a'],
    ['spiffe://example.org'],
    ['spiffe://Example.org/a'],
    ['spiffe:///a'],
    ['spiffe://example.org/'],
    ['spiffe://example.org/a//b'],
    ['spiffe://example.org/a/../b'],
    ['spiffe://example.org/a?b'],
    ['spiffe://example.org/a%62'],
    [`spiffe://example.org/${'a'.repeat(2048)}`],
  ])('refuses %s', (text) => {
    expect(() => parseSpiffeId(text)).toThrow(expect.objectContaining({ code: 'spiffe_id_malformed' }));
  });
});

describe('HeaderList', () => {
  it('keeps order, spelling and repetitions', () => {
    const list = HeaderList.of(['X-A', '1'], ['x-b', '2'], ['x-a', '3']);
    expect([...list].map((field) => `${field.name}=${field.value}`)).toEqual(['X-A=1', 'x-b=2', 'x-a=3']);
    expect(list.getAll('x-a')).toEqual(['1', '3']);
    const copy = list.copy();
    copy.set('X-A', '4');
    expect(copy.getAll('x-a')).toEqual(['4']);
    expect(list.getAll('x-a')).toEqual(['1', '3']);
  });

  it('takes names like __proto__ for what they are', () => {
    const list = HeaderList.of(['__proto__', 'x'], ['constructor', 'y']);
    expect(list.get('__proto__')).toBe('x');
    expect(list.get('toString')).toBeUndefined();
  });
});

describe('what is derived from a secret', () => {
  const derived = () => Buffer.from('derived');
  const isZeroed = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

  it('is zeroed with it', () => {
    const secret = Secret.copyOf(Buffer.from('secret'));
    const [one, two] = [derived(), derived()];
    secret.attach(one);
    secret.attach(two);
    secret.detach(one);
    expect([one, two].map(isZeroed)).toEqual([true, false]);
    secret.destroy();
    expect(isZeroed(two)).toBe(true);
  });

  it('cannot be attached to one that is over, and is zeroed then too', () => {
    const secret = Secret.copyOf(Buffer.from('secret'));
    secret.destroy();
    const late = derived();
    expect(() => secret.attach(late)).toThrow(/secret_destroyed/);
    expect(isZeroed(late)).toBe(true);
  });
});

describe('the tables of errors and reasons', () => {
  it('have no code in common', () => {
    expect(Object.keys(ERRORS).filter((code) => code in REASONS)).toEqual([]);
  });

  it('name statuses of HTTP and error types of RFC 9209', () => {
    for (const row of [...Object.values(ERRORS), ...Object.values(REASONS)]) {
      expect(row.status === 0 || (row.status >= 400 && row.status < 600)).toBe(true);
      expect(row.proxyError).toMatch(/^[a-z_]+$/);
    }
  });

  it('wrap what is foreign as internal and keep it as cause', () => {
    const foreign = new TypeError('x');
    expect(toEgressError(foreign)).toMatchObject({ code: 'internal', cause: foreign });
    const own = new EgressError('dns_error');
    expect(toEgressError(own)).toBe(own);
  });
});

describe('collectBody', () => {
  it('gives all bytes up to the limit and null beyond it', async () => {
    expect(await collectBody(bodyOf(Buffer.from('abc')), 3)).toEqual(Buffer.from('abc'));
    expect(await collectBody(bodyOf(Buffer.from('abcd')), 3)).toBeNull();
  });

  it('does not read what says that it is too long', async () => {
    const body = { ...bodyOf(Buffer.alloc(0)), length: 10, read: () => Promise.reject(new Error('read')) };
    expect(await collectBody(body, 3)).toBeNull();
  });
});
