import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { needlesOf } from '../../../src/injection/needles.ts';
import { credentialOf } from './materials.ts';

const finds = (needles: readonly Buffer[], haystack: string): boolean =>
  needles.some((needle) => Buffer.from(haystack, 'latin1').includes(needle));
const percent = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
const htmlSafe = (text: string): string =>
  JSON.stringify(text).replace(/[+&<>']/g, (char) => `\\u00${char.charCodeAt(0).toString(16).toUpperCase()}`);

const echoes: Readonly<Record<string, (secret: string) => string>> = {
  raw: (secret) => `<${secret}>`,
  'base64 alone': (secret) => Buffer.from(secret, 'latin1').toString('base64'),
  'base64 one byte in': (secret) => Buffer.from(`a${secret}zz`, 'latin1').toString('base64'),
  'base64 two bytes in': (secret) => Buffer.from(`user:pw:${secret}`, 'latin1').toString('base64'),
  'base64url three bytes in': (secret) => Buffer.from(`abc${secret}z`, 'latin1').toString('base64url'),
  'base64url one byte in': (secret) => Buffer.from(`a${secret}z`, 'latin1').toString('base64url'),
  'hex, lower case': (secret) => Buffer.from(secret, 'latin1').toString('hex'),
  'hex, upper case': (secret) => Buffer.from(secret, 'latin1').toString('hex').toUpperCase(),
  'percent-encoded': percent,
  'percent-encoded in lower case': (secret) => percent(secret).replace(/%../g, (digits) => digits.toLowerCase()),
  'percent-encoded by encodeURIComponent': encodeURIComponent,
  JSON: (secret) => JSON.stringify({ secret }),
  'JSON with escaped slashes': (secret) => JSON.stringify({ secret }).replaceAll('/', '\\/'),
  'JSON fit for HTML': htmlSafe,
  'JSON fit for HTML, lower case': (secret) => htmlSafe(secret).replace(/\\u00../g, (digits) => digits.toLowerCase()),
};

describe('the needles of a credential', () => {
  it.each(Object.entries(echoes))('find a secret that is echoed as %s', (_name, echo) => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]{16,60}$/), (secret) =>
        finds(needlesOf(credentialOf({ key: secret })), echo(secret)),
      ),
      { numRuns: 100 },
    );
  });

  it('are there for every secret part and for no public one', () => {
    const parts = {
      key: 'key-key-key-key-1',
      password: 'password-password',
      secretAccessKey: 'secret-access-key',
      sessionToken: 'session-token-tok',
    };
    const needles = needlesOf(
      credentialOf({ ...parts, accessKeyId: 'AKIAPUBLICPUBLIC', username: 'user-user-user-u' }),
    );
    for (const secret of Object.values(parts)) expect(finds(needles, secret)).toBe(true);
    expect(finds(needles, 'AKIAPUBLICPUBLIC user-user-user-u')).toBe(false);
  });

  it('are no shorter than 12 bytes, but for the secret itself', () => {
    expect(needlesOf(credentialOf({ key: 'a/b' })).map(String)).toEqual(['a/b']);
    for (const needle of needlesOf(credentialOf({ key: '0123456789' })).slice(1))
      expect(needle.length).toBeGreaterThanOrEqual(12);
  });

  it('hold no pattern twice', () => {
    const needles = needlesOf(credentialOf({ key: 'plain-and-long-enough', password: 'plain-and-long-enough' })).map(
      String,
    );
    expect(new Set(needles).size).toBe(needles.length);
  });

  it('are made once for a credential, and the raw one is its own buffer', () => {
    const credential = credentialOf({ key: 'plain-and-long-enough' });
    expect(needlesOf(credential)).toBe(needlesOf(credential));
    expect(needlesOf(credential)[0]).toBe(credential.parts.get('key')?.reveal());
  });

  it('are made once for a secret, also where its credential was renewed, and end with it', () => {
    const credential = credentialOf({ key: 'plain-and-long-enough' });
    const needles = needlesOf(credential);
    const renewed = needlesOf({ ...credential });
    expect(renewed.length).toBe(needles.length);
    expect(renewed.every((needle, i) => needle === needles[i])).toBe(true);
    credential.parts.get('key')?.destroy();
    for (const needle of needles) expect(needle.every((byte) => byte === 0)).toBe(true);
  });

  it('cannot be made of a secret that is over', () => {
    const credential = credentialOf({ key: 'plain-and-long-enough' });
    credential.parts.get('key')?.destroy();
    expect(() => needlesOf(credential)).toThrow(/secret_destroyed/);
  });
});
