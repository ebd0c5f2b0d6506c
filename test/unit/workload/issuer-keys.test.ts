import { createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { inspect } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type IssuerKeys, type KeyChange, openIssuerKeys } from '../../../src/workload/issuer-keys.ts';
import type { SigningAlgorithm } from '../../../src/workload/options.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { MemoryKeyFile } from '../../fakes/memory-key-file.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
let clock: FakeClock;
let file: MemoryKeyFile;
let changes: KeyChange[];
let opened: IssuerKeys[];

beforeEach(() => {
  clock = new FakeClock();
  file = new MemoryKeyFile();
  changes = [];
  opened = [];
});
afterEach(() => {
  for (const keys of opened) keys.close();
});

function open(keyLifetimeMs = WEEK, algorithm: SigningAlgorithm = 'ES256'): IssuerKeys {
  const keys = openIssuerKeys({ file, clock, keyLifetimeMs, algorithm, observe: (change) => changes.push(change) });
  opened.push(keys);
  return keys;
}

/** As after an end and a start. */
function reopen(keyLifetimeMs = WEEK): IssuerKeys {
  for (const keys of opened) keys.close();
  return open(keyLifetimeMs);
}

const statesOf = (keys: IssuerKeys): string[] => keys.list().map(({ state }) => state);
const kidsOf = (keys: IssuerKeys): string[] => keys.published.map(({ kid }) => kid);

describe('the first key', () => {
  it('is made and written before it signs, and has the thumbprint of RFC 7638 for its name', async () => {
    const keys = open();
    const [jwk] = keys.published;
    expect(statesOf(keys)).toEqual(['current']);
    expect(keys.current.kid).toBe(await calculateJwkThumbprint({ ...jwk }));
    expect(JSON.parse(file.text ?? '').keys[0].jwk.d).toHaveLength(43);
    expect(inspect(keys.published)).not.toContain(JSON.parse(file.text ?? '').keys[0].jwk.d);
  });

  it('is the same after a restart, and no date moves', () => {
    const before = open();
    const [{ since } = { since: 0 }] = before.list();
    const after = reopen();
    expect(after.current.kid).toBe(before.current.kid);
    expect(after.list()[0]?.since).toBe(since);
    expect(file.writes).toBe(1);
  });
});

describe('rotation by age', () => {
  it('publishes the next key a day before it signs, and the former one until its last token is over', async () => {
    const keys = open();
    const first = keys.current.kid;
    await clock.advance(6 * DAY - 1000);
    expect(kidsOf(keys)).toEqual([first]);
    await clock.advance(2000);
    expect(statesOf(keys)).toEqual(['current', 'next']);
    expect(keys.current.kid).toBe(first);
    const [, second = ''] = kidsOf(keys);
    await clock.advance(DAY - 5000);
    expect(keys.current.kid).toBe(first);
    await clock.advance(6000);
    expect(keys.current.kid).toBe(second);
    expect(kidsOf(keys)).toEqual([second, first]);
    await clock.advance(14 * MINUTE);
    expect(kidsOf(keys)).toEqual([second, first]);
    await clock.advance(2 * MINUTE);
    expect(kidsOf(keys)).toEqual([second]);
    expect(JSON.parse(file.text ?? '').keys).toHaveLength(1);
    expect(changes.map(({ kind, kid }) => `${kind} ${kid === first ? 'first' : 'second'}`)).toEqual([
      'published second',
      'signing second',
      'dropped first',
    ]);
  });

  it('goes on for a year, and never has more than three keys or fewer than one', async () => {
    const keys = open();
    const seen = new Set<string>();
    for (let day = 0; day < 365; day++) {
      await clock.advance(DAY);
      seen.add(keys.current.kid);
      expect(keys.published.length).toBeLessThanOrEqual(3);
    }
    expect(seen.size).toBe(53);
  });

  it('leaves a key its overlap where the lifetime is short', async () => {
    const keys = open(HOUR);
    await clock.advance(46 * MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
    await clock.advance(15 * MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'former']);
  });

  it('after a long rest publishes the next key first, and only then lets it sign', async () => {
    const first = open().current.kid;
    clock.jump(30 * DAY);
    expect(statesOf(reopen())).toEqual(['current', 'next']);
    await clock.advance(DAY - MINUTE);
    const keys = reopen();
    expect(statesOf(keys)).toEqual(['current', 'next']);
    expect(keys.current.kid).toBe(first);
    await clock.advance(2 * MINUTE);
    expect(keys.current.kid).not.toBe(first);
  });

  it.each([-400 * DAY, -HOUR, HOUR, 400 * DAY])('is not moved by a wall clock that jumps by %d ms', async (jumpMs) => {
    const keys = open();
    await clock.advance(3 * DAY);
    clock.jump(jumpMs);
    await clock.advance(3 * DAY - MINUTE);
    expect(statesOf(keys)).toEqual(['current']);
    await clock.advance(2 * MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
  });

  it('counts a date in the future from the start on', async () => {
    open();
    clock.jump(-400 * DAY);
    const keys = reopen();
    await clock.advance(6 * DAY + MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
  });

  it('goes on with the key that is written where the file cannot be, and tries again', async () => {
    const keys = open();
    const first = keys.current.kid;
    file.isFull = true;
    await clock.advance(6 * DAY + 5 * MINUTE);
    expect(kidsOf(keys)).toEqual([first]);
    expect(changes.filter(({ kind }) => kind === 'failed').length).toBeGreaterThan(3);
    file.isFull = false;
    await clock.advance(2 * MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
  });

  it('waits for nothing after its end', () => {
    open().close();
    expect(clock.pending).toBe(0);
  });
});

describe('another algorithm', () => {
  const algorithms = (keys: IssuerKeys): string[] => keys.published.map(({ alg }) => alg);
  const afterwards = (algorithm: SigningAlgorithm): IssuerKeys => {
    for (const keys of opened) keys.close();
    return open(WEEK, algorithm);
  };

  it('is that of the next key, which is published at once and signs a day later, whatever the age of the one that signs', async () => {
    open();
    const keys = afterwards('RS256');
    expect(statesOf(keys)).toEqual(['current', 'next']);
    expect(algorithms(keys)).toEqual(['ES256', 'RS256']);
    expect(keys.current.algorithm).toBe('ES256');
    await clock.advance(DAY);
    expect(keys.current.algorithm).toBe('RS256');
    expect(algorithms(keys)).toEqual(['RS256', 'ES256']);
    await clock.advance(15 * MINUTE);
    expect(algorithms(keys)).toEqual(['RS256']);
  });

  it('counts at once where one is asked for', () => {
    open();
    const keys = afterwards('RS256');
    keys.rotate({ revoke: false });
    expect(keys.current.algorithm).toBe('RS256');
    expect(afterwards('RS256').current.kid).toBe(keys.current.kid);
  });

  it('replaces a next key of the former one that nobody has used', () => {
    open();
    afterwards('RS256');
    const keys = afterwards('ES256');
    expect(keys.current.algorithm).toBe('ES256');
    expect(statesOf(keys)).toEqual(['current', 'next']);
  });

  it('has the thumbprint of RFC 7638 for its name, and a signature that verifies', async () => {
    const keys = open(WEEK, 'RS256');
    const [jwk] = keys.published;
    expect(jwk).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig', kid: await calculateJwkThumbprint({ ...jwk }) });
    expect(Object.keys(jwk ?? {}).toSorted()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
    const digits = await keys.current.sign(Buffer.from('x'));
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
    expect(verify('sha256', Buffer.from('x'), key, Buffer.from(digits.toString(), 'base64url'))).toBe(true);
  });
});

describe('rotation at once', () => {
  it('lets another key sign now and keeps the former published for its tokens', async () => {
    const keys = open();
    const first = keys.current.kid;
    keys.rotate({ revoke: false });
    expect(keys.current.kid).not.toBe(first);
    expect(kidsOf(keys)).toContain(first);
    await clock.advance(16 * MINUTE);
    expect(kidsOf(keys)).toEqual([keys.current.kid]);
  });

  it('takes the next key where one is published already', async () => {
    const keys = open();
    await clock.advance(6 * DAY + MINUTE);
    const next = keys.list().find(({ state }) => state === 'next')?.kid;
    keys.rotate({ revoke: false });
    expect(keys.current.kid).toBe(next);
  });

  it('drops every key of before where they are revoked, the next one too, in the file as well', async () => {
    const keys = open();
    await clock.advance(6 * DAY + MINUTE);
    const before = kidsOf(keys);
    expect(before).toHaveLength(2);
    keys.rotate({ revoke: true });
    expect(kidsOf(keys)).toEqual([keys.current.kid]);
    expect(before).not.toContain(keys.current.kid);
    expect(kidsOf(reopen())).toEqual([keys.current.kid]);
  });

  it('changes nothing where the file cannot be written', () => {
    const keys = open();
    const first = keys.current.kid;
    file.isFull = true;
    for (const revoke of [false, true]) expect(() => keys.rotate({ revoke })).toThrow(/nothing has changed/);
    expect(kidsOf(keys)).toEqual([first]);
  });

  it('is refused where there are many former keys, but never with --revoke', () => {
    const keys = open();
    for (let i = 0; i < 15; i++) keys.rotate({ revoke: false });
    expect(() => keys.rotate({ revoke: false })).toThrow(expect.objectContaining({ code: 'overload' }));
    expect(kidsOf(reopen())).toHaveLength(16);
    keys.rotate({ revoke: true });
    expect(kidsOf(keys)).toHaveLength(1);
  });
});

const jwkOf = (namedCurve: string): object =>
  generateKeyPairSync('ec', { namedCurve }).privateKey.export({ format: 'jwk' });
const entry = (jwk: object, state = 'current'): object => ({ state, since: '2026-01-01T00:00:00Z', jwk });
const fileWith = (...keys: object[]): string => JSON.stringify({ version: 1, keys });
const p256 = jwkOf('P-256') as { d: string };
const publicHalf = createPublicKey(createPrivateKey({ key: p256 as never, format: 'jwk' })).export({ format: 'jwk' });

describe('a file that is not ours', () => {
  it.each<[string, string]>([
    ['nothing', ''],
    ['text', 'canary'],
    ['another version', JSON.stringify({ version: 2, keys: [] })],
    ['no key', fileWith()],
    ['no key that signs', fileWith(entry(p256, 'former'))],
    ['two keys that sign', fileWith(entry(jwkOf('P-256')), entry(jwkOf('P-256')))],
    ['one key twice', fileWith(entry(p256), entry(p256, 'former'))],
    ['a key in an unknown state', fileWith(entry(p256, 'spare'))],
    ['a key without a date', fileWith({ state: 'current', jwk: p256 })],
    ['a public key', fileWith(entry(publicHalf))],
    ['a key on another curve', fileWith(entry(jwkOf('P-384')))],
    [
      'a short RSA key',
      fileWith(entry(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'jwk' }))),
    ],
    ['halves of two keys', fileWith(entry({ ...publicHalf, d: (jwkOf('P-256') as { d: string }).d }))],
    ['a broken private half', fileWith(entry({ ...publicHalf, d: 'canary-canary' }))],
    ['half a file', fileWith(entry(p256)).slice(0, 90)],
  ])('is refused where it holds %s, with the next step and without showing it', (_name, text) => {
    file.text = text;
    let error: unknown = null;
    try {
      open();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(/issuer-keys\.json .*move it away/),
    });
    expect(inspect(error, { depth: 9 })).not.toMatch(new RegExp(`canary|${p256.d}`));
    expect(file.text).toBe(text);
  });
});
