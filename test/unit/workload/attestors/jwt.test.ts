import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EgressError } from '../../../../src/core/errors.ts';
import type { Subject, TokenVerifier } from '../../../../src/workload/attestor.ts';
import { createJwtVerifier, jwtClaims } from '../../../../src/workload/attestors/jwt.ts';
import { ALGORITHMS, type JwtIssuerOptions, type SelectorKey } from '../../../../src/workload/options.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { base64, FakeIssuer, issuerKey, rawToken } from '../../../fakes/fake-issuer.ts';
import { ToldLog } from '../../../fakes/told-log.ts';
import { type Pair, TestCa } from '../../../wire/upstream-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-jwt-'));
const caFile = join(folder, 'ca.pem');
let ca: TestCa;
let pair: Pair;
beforeAll(() => {
  ca = new TestCa('identity provider');
  pair = ca.leaf('DNS:localhost,IP:127.0.0.1');
  writeFileSync(caFile, ca.cert);
});
afterAll(() => {
  ca.remove();
  rmSync(folder, { recursive: true });
});

const first = issuerKey('first');
const second = issuerKey('second');
const rsa = issuerKey('rsa', 'RS256');

let clock: FakeClock;
let issuer: FakeIssuer;
let log: ToldLog;
beforeEach(async () => {
  clock = new FakeClock();
  log = new ToldLog();
  issuer = new FakeIssuer(pair, clock);
  issuer.keys = [first, rsa];
  await issuer.open();
});
afterEach(() => issuer.close());

function verifier(options: Partial<JwtIssuerOptions> = {}): TokenVerifier {
  const standard: JwtIssuerOptions = {
    issuer: issuer.url,
    audience: ['countersign'],
    keys: { kind: 'discovery', at: issuer.url, caFile },
    algorithms: ALGORITHMS,
    clockSkewMs: 30_000,
    maxLifetimeMs: null,
  };
  return createJwtVerifier({ ...standard, ...options }, { clock, log });
}

/** The detail of the refusal; it must not quote the token. */
async function refusal(by: TokenVerifier, token: string): Promise<string | null> {
  const thrown = await by.verify(token).then(
    () => expect.unreachable('the token was believed'),
    (error: EgressError) => error,
  );
  expect(thrown.code).toBe('identity_required');
  expect(token.split('.').filter((part) => part.length > 3 && thrown.message.includes(part))).toEqual([]);
  return thrown.detail;
}

const subjectOf = (token: Awaited<ReturnType<TokenVerifier['verify']>>): Subject => ({ token }) as unknown as Subject;

describe('a token of a configured issuer', () => {
  it('proves issuer, subject and claims', async () => {
    const sent = await issuer.token(first, { repository: 'acme/agents', groups: ['a', 'b'], nested: { deep: 7 } });
    const by = verifier();
    expect(by.accepts(sent)).toBe(true);
    const token = await by.verify(sent);
    expect(token).toMatchObject({ kind: 'jwt', subject: 'agent-7', expiresAt: clock.now() + 600_000 });
    const ask = (key: SelectorKey) => jwtClaims.values(key, subjectOf(token));
    expect(await ask('token:jwt-issuer')).toEqual([issuer.url]);
    expect(await ask('token:jwt-sub')).toEqual(['agent-7']);
    expect(await ask('token:jwt-claim:repository')).toEqual(['acme/agents']);
    expect(await ask('token:jwt-claim:groups')).toEqual(['a', 'b']);
    expect(await ask('token:jwt-claim:nested.deep')).toEqual(['7']);
    expect(await ask('token:jwt-claim:__proto__')).toEqual([]);
    expect(await ask('token:jwt-claim:constructor')).toEqual([]);
  });

  it.each([['RS256'], ['PS256'], ['EdDSA'], ['ES256']])('may be signed by %s', async (alg) => {
    const key = issuerKey('this', alg);
    issuer.keys = [key];
    expect(await verifier().verify(await issuer.token(key))).toMatchObject({ subject: 'agent-7' });
  });

  it('needs no kid where one key alone fits', async () => {
    issuer.keys = [first];
    expect(await verifier().verify(await issuer.token(first, {}, { kid: undefined }))).toMatchObject({ kind: 'jwt' });
    issuer.keys = [first, second];
    const by = verifier();
    expect(await refusal(by, await issuer.token(first, {}, { kid: undefined }))).toBe('its issuer has no such key');
  });

  it('is judged by nobody else', async () => {
    const token = await issuer.token(first);
    expect(verifier({ issuer: 'https://other.test' }).accepts(token)).toBe(false);
    expect(verifier().accepts('cs_instance')).toBe(false);
    expect(verifier().accepts('a.b.c')).toBe(false);
  });

  it('says nothing under a name that two claims could mean', async () => {
    const token = await verifier().verify(await issuer.token(first, { 'a.b': 'plain', a: { b: 'nested', c: 'x' } }));
    expect(await jwtClaims.values('token:jwt-claim:a.b', subjectOf(token))).toEqual([]);
    expect(await jwtClaims.values('token:jwt-claim:a.c', subjectOf(token))).toEqual(['x']);
  });
});

describe('a token that is wrong', () => {
  const at = (seconds: number): number => Math.floor(clock.now() / 1_000) + seconds;

  it.each<[string, () => Record<string, unknown>, string]>([
    ['expired', () => ({ exp: at(-31) }), 'the token has expired'],
    ['without an end', () => ({ exp: undefined }), 'the token has no end'],
    ['not valid yet', () => ({ nbf: at(31) }), 'the token is not valid yet'],
    ['issued in the future', () => ({ iat: at(31) }), 'the token was issued in the future'],
    ['for another audience', () => ({ aud: 'vault' }), 'the token is for another audience'],
    ['for no audience', () => ({ aud: undefined }), 'the token is for another audience'],
    ['of another issuer', () => ({ iss: 'https://evil.test' }), 'the token is of another issuer'],
    ['without a subject', () => ({ sub: undefined }), 'the token names no subject'],
    ['with an empty subject', () => ({ sub: '' }), 'the token names no subject'],
    ['with a subject that is no text', () => ({ sub: 7 }), 'the token is malformed'],
  ])('is refused: %s', async (_, claims, detail) => {
    // jose's own builder refuses what is no JWT; the bytes are signed all the same.
    const token = await issuer.token(first, claims()).catch(() => null);
    if (token === null) return;
    expect(await refusal(verifier(), token)).toMatch(detail === 'the token is malformed' ? /./ : detail);
  });

  it('has 30 s of grace for clocks, on both sides', async () => {
    const token = await issuer.token(first, { exp: at(-29), nbf: at(29), iat: at(29) });
    expect(await verifier().verify(token)).toMatchObject({ kind: 'jwt' });
    expect(await refusal(verifier({ clockSkewMs: 1_000 }), token)).toBe('the token is not valid yet');
  });

  it('may be refused for its long life', async () => {
    const by = verifier({ maxLifetimeMs: 300_000 });
    expect(await refusal(by, await issuer.token(first))).toBe('the token lives longer than is allowed');
    expect(await refusal(by, await issuer.token(first, { iat: undefined }))).toBe(
      'the token lives longer than is allowed',
    );
    expect(await by.verify(await issuer.token(first, { exp: at(300) }))).toMatchObject({ kind: 'jwt' });
  });

  it('is refused where it is forged', async () => {
    const token = await issuer.token(first);
    const [header, payload = '', signature] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const forged = `${header}.${base64(JSON.stringify({ ...claims, sub: 'admin' }))}.${signature}`;
    expect(await refusal(verifier(), forged)).toBe('the signature of the token does not verify');
    const stranger = issuerKey('first');
    expect(await refusal(verifier(), await issuer.token(stranger))).toBe('the signature of the token does not verify');
  });

  it('is refused with alg none, and asks for no key', async () => {
    const claims = { iss: issuer.url, sub: 'agent-7', aud: 'countersign', exp: at(60) };
    for (const alg of ['none', 'None', 'NONE', '']) {
      expect(await refusal(verifier(), rawToken({ alg }, claims))).toBe('the algorithm of the token is not allowed');
    }
    expect(await refusal(verifier(), rawToken({ alg: ['ES256'] }, claims))).toBe(
      'the algorithm of the token is not allowed',
    );
    expect(issuer.asked).toEqual([]);
  });

  it('is refused where the public key was used as a shared secret', async () => {
    const claims = { iss: issuer.url, sub: 'agent-7', aud: 'countersign', exp: at(60) };
    const signing = `${base64(JSON.stringify({ alg: 'HS256', kid: 'rsa' }))}.${base64(JSON.stringify(claims))}`;
    const secret = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    const token = `${signing}.${createHmac('sha256', secret).update(signing).digest('base64url')}`;
    expect(await refusal(verifier(), token)).toBe('the algorithm of the token is not allowed');
  });

  it('is refused where the algorithm is not one of the issuer’s', async () => {
    expect(await refusal(verifier({ algorithms: ['ES256'] }), await issuer.token(rsa))).toBe(
      'the algorithm of the token is not allowed',
    );
  });

  it('is refused where the key is for another algorithm', async () => {
    const token = await issuer.token({ ...rsa, alg: 'PS256' });
    expect(await refusal(verifier(), token)).toBe('its issuer has no such key');
  });

  it('brings no key of its own', async () => {
    const stranger = issuerKey('stranger');
    const jwk = await exportJWK(stranger.publicKey);
    const url = `${issuer.url}/evil`;
    for (const header of [{ jwk }, { jku: url }, { x5u: url }, { x5c: ['AAAA'] }]) {
      expect(await refusal(verifier(), await issuer.token(stranger, {}, header))).toBe('its issuer has no such key');
    }
    expect(issuer.asked).not.toContain('/evil');
  });

  it('is refused with an extension that must be understood', async () => {
    const claims = { iss: issuer.url, sub: 'agent-7', aud: 'countersign', exp: at(60) };
    const detail = 'the token has an extension that is not supported';
    const header = { alg: 'ES256', kid: 'first' };
    expect(await refusal(verifier(), rawToken({ ...header, crit: ['exp'], exp: 1 }, claims))).toBe(detail);
    expect(await refusal(verifier(), rawToken({ ...header, crit: ['b64'], b64: false }, claims))).toBe(detail);
  });

  it('is refused with a type of something else', async () => {
    expect(await refusal(verifier(), await issuer.token(first, {}, { typ: 'logout+jwt' }))).toBe(
      'the token is of another type',
    );
    for (const typ of ['JWT', 'at+jwt', 'application/at+jwt', undefined])
      expect(await verifier().verify(await issuer.token(first, {}, { typ }))).toMatchObject({ kind: 'jwt' });
  });

  it('is refused where it is longer than 8 KiB', async () => {
    const token = await issuer.token(first, { padding: 'x'.repeat(7_000) });
    expect(token.length).toBeGreaterThan(8_192);
    expect(verifier().accepts(token)).toBe(false);
    expect(await refusal(verifier(), token)).toBe('the token is longer than 8 KiB');
  });

  it.each([
    ['not three parts', 'eyJhbGciOiJFUzI1NiJ9.e30'],
    ['a header that is no JSON', `${base64('{')}.${base64('{}')}.AAAA`],
    ['a header that is a list', `${base64('[]')}.${base64('{}')}.AAAA`],
    ['a kid that is no text', rawToken({ alg: 'ES256', kid: 7 }, {})],
  ])('is refused: %s', async (_, token) => {
    expect(await refusal(verifier(), token)).toMatch(
      /^the (?:token is malformed|algorithm of the token is not allowed)$/,
    );
  });
});

describe('the keys of an issuer', () => {
  it('are fetched once for many tokens at a time', async () => {
    const by = verifier();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => issuer.token(first)));
    await Promise.all(tokens.map((token) => by.verify(token)));
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('are fetched again for a new kid, at most every 30 s', async () => {
    const by = verifier();
    await by.verify(await issuer.token(first));
    issuer.keys = [second];
    const token = await issuer.token(second);
    expect(await refusal(by, token)).toBe('its issuer has no such key');
    for (let i = 0; i < 50; i++) await refusal(by, await issuer.token(issuerKey(`invented-${i}`)));
    expect(issuer.asked).toHaveLength(2);
    await clock.advance(31_000);
    expect(await by.verify(token)).toMatchObject({ kind: 'jwt' });
    expect(issuer.asked).toHaveLength(4);
    expect(await refusal(by, await issuer.token(first))).toBe('its issuer has no such key');
  });

  it('are fetched again after ten minutes, so that a withdrawn one ends', async () => {
    const by = verifier();
    await by.verify(await issuer.token(first));
    issuer.keys = [second];
    await clock.advance(601_000);
    expect(await refusal(by, await issuer.token(first))).toBe('its issuer has no such key');
  });

  it('serve an hour at most while the issuer is down, which the log is told once', async () => {
    const by = verifier();
    await by.verify(await issuer.token(first));
    issuer.override = () => ({ status: 503, body: '' });
    for (let minutes = 0; minutes < 50; minutes += 10) {
      await clock.advance(600_000);
      expect(await by.verify(await issuer.token(first))).toMatchObject({ kind: 'jwt' });
    }
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toContain('the answer has the status 503');
    await clock.advance(660_000);
    expect(await refusal(by, await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    issuer.override = undefined;
    await clock.advance(6_000);
    expect(await by.verify(await issuer.token(first))).toMatchObject({ kind: 'jwt' });
    expect(log.lines).toHaveLength(2);
  });

  it('hold nobody up for more than a second while the issuer is slow', async () => {
    const by = verifier();
    await by.verify(await issuer.token(first));
    issuer.override = () => null;
    await clock.advance(601_000);
    let isThrough = false;
    const waiting = by.verify(await issuer.token(first)).finally(() => (isThrough = true));
    await vi.waitFor(() => expect(issuer.asked.filter((path) => path === '/keys')).toHaveLength(2));
    await clock.advance(999);
    expect(isThrough).toBe(false);
    await clock.advance(1);
    expect(await waiting).toMatchObject({ kind: 'jwt' });
  });

  it('are not asked for again at once where they could not be had', async () => {
    issuer.override = () => ({ status: 500, body: '' });
    const by = verifier();
    for (let i = 0; i < 5; i++)
      expect(await refusal(by, await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(issuer.asked.filter((path) => path === '/keys')).toHaveLength(1);
  });

  it('cannot be had from an issuer that is not there', async () => {
    const token = await issuer.token(first);
    const by = verifier();
    await issuer.close();
    expect(await refusal(by, token)).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toContain('ECONNREFUSED');
  });

  it.each<[string, () => ReturnType<NonNullable<FakeIssuer['override']>>, string]>([
    ['huge', () => ({ status: 200, body: `{"keys":[]}${' '.repeat(300_000)}` }), 'larger than 256 KiB'],
    [
      'huge and not announced',
      () => ({ status: 200, headers: { 'transfer-encoding': 'chunked' }, body: ' '.repeat(300_000) }),
      'larger than 256 KiB',
    ],
    ['elsewhere', () => ({ status: 302, headers: { location: '/keys2' }, body: '' }), 'the status 302'],
    ['no JSON', () => ({ status: 200, body: '<html>' }), 'not JSON'],
    ['no key set', () => ({ status: 200, body: '{"keys":{}}' }), 'no usable key'],
    ['empty', () => ({ status: 200, body: '{"keys":[]}' }), 'no usable key'],
    ['encoded', () => ({ status: 200, headers: { 'content-encoding': 'gzip' }, body: 'x' }), 'the answer is encoded'],
  ])('cannot be had where they are %s', async (_, answer, told) => {
    issuer.override = answer;
    expect(await refusal(verifier(), await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toContain(told);
    expect(issuer.asked).not.toContain('/keys2');
  });

  it('cannot be had from an issuer that takes too long', async () => {
    issuer.override = () => null;
    expect(await refusal(verifier(), await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toContain('no answer in time');
  });

  it('cannot be had from an issuer that never comes to an end', async () => {
    issuer.override = () => ({ status: 200, headers: { 'content-length': '100' }, body: '{"keys":[' });
    expect(await refusal(verifier(), await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toMatch(/no answer in time|ended early/);
  });

  it('cannot be had from one that nobody vouches for', async () => {
    const by = verifier({ keys: { kind: 'uri', uri: `${issuer.url}/keys`, caFile: null } });
    expect(await refusal(by, await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/);
    expect(issuer.asked).toEqual([]);
  });

  it.each([
    ['of another issuer', { issuer: 'https://evil.test' }, 'of another issuer'],
    ['that leads to http', { jwks_uri: 'http://localhost/keys' }, 'no https address'],
    ['that leads nowhere', { jwks_uri: 7 }, 'no https address'],
  ])('are not looked for by a discovery document %s', async (_, document, told) => {
    issuer.document = document;
    expect(await refusal(verifier(), await issuer.token(first))).toBe('the keys of its issuer cannot be had');
    expect(log.lines[0]).toContain(told);
  });

  it('are never symmetric, private or weak ones', async () => {
    const weak = (await import('node:crypto')).generateKeyPairSync('rsa', { modulusLength: 1_024 });
    const stranger = issuerKey('private');
    issuer.extra = [
      { kty: 'oct', kid: 'shared', k: base64('secret-secret-secret-secret-secret') },
      { ...(await exportJWK(stranger.privateKey)), kid: 'private' },
      { ...(await exportJWK(weak.publicKey)), kid: 'weak' },
      { ...(await exportJWK(second.publicKey)), kid: 'encryption', use: 'enc' },
    ];
    const by = verifier();
    for (const key of [stranger, { ...second, kid: 'encryption' }]) {
      expect(await refusal(by, await issuer.token(key))).toBe('its issuer has no such key');
    }
  });

  it('may stand in a file, which is read again when it changes', async () => {
    const path = join(folder, 'keys.json');
    writeFileSync(path, JSON.stringify(await issuer.keySet()));
    const by = verifier({ keys: { kind: 'file', path } });
    expect(await by.verify(await issuer.token(first))).toMatchObject({ kind: 'jwt' });
    issuer.keys = [second];
    writeFileSync(path, `${JSON.stringify(await issuer.keySet())} `);
    expect(await by.verify(await issuer.token(second))).toMatchObject({ kind: 'jwt' });
    expect(await refusal(by, await issuer.token(first))).toBe('its issuer has no such key');
    writeFileSync(path, '{');
    expect(await refusal(by, await issuer.token(second))).toBe('its issuer has no such key');
    rmSync(path);
    expect(await refusal(by, await issuer.token(second))).toBe('its issuer has no such key');
    expect(issuer.asked).toEqual([]);
  });
});
