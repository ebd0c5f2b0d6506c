import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import { createIssuer, type Issuer, type IssuerParts } from '../../../src/workload/issuer.ts';
import { type IssuerKeys, openIssuerKeys } from '../../../src/workload/issuer-keys.ts';
import type { Workload } from '../../../src/workload/workload.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { MemoryKeyFile } from '../../fakes/memory-key-file.ts';

const URL_TEXT = 'https://issuer.example/tenant';
let clock: FakeClock;
let keys: IssuerKeys;
beforeEach(() => {
  clock = new FakeClock();
  keys = openIssuerKeys({
    file: new MemoryKeyFile(),
    clock,
    keyLifetimeMs: 3_600_000,
    algorithm: 'ES256',
    observe: () => {},
  });
});

const parts = (more: Partial<IssuerParts> = {}): IssuerParts => ({
  url: URL_TEXT,
  tokenLifetimeMs: 300_000,
  keys,
  clock,
  ...more,
});
const workload = (instance: string | null): Workload => ({
  name: 'team/agent',
  spiffeId: createSpiffeId('example.org', '/team/agent'),
  instance,
  placeholders: { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' },
  evidence: [],
});

const keysOf = (issuer: Issuer): { kid: string }[] =>
  JSON.parse(issuer.documents.get('/.well-known/jwks.json') ?? '').keys;
const kidOf = async (issuer: Issuer): Promise<string | undefined> =>
  decodeProtectedHeader((await issuer.mint(workload(null), ['v'])).reveal().toString()).kid;

describe('a workload token', () => {
  it('says who the workload is, verifies with the published key, and is for one audience', async () => {
    const issuer = createIssuer(parts());
    const jwks = JSON.parse(issuer.documents.get('/.well-known/jwks.json') ?? '');
    const token = (await issuer.mint(workload('i-1'), ['vault'])).reveal().toString();
    const options = { issuer: URL_TEXT, audience: 'vault', algorithms: ['ES256'], currentDate: new Date(clock.now()) };
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), options);
    const now = Math.floor(clock.now() / 1000);
    expect(payload).toMatchObject({
      sub: 'spiffe://example.org/team/agent',
      aud: 'vault',
      workload: 'team/agent',
      instance: 'i-1',
      iat: now,
      nbf: now,
      exp: now + 300,
    });
    expect(payload.jti).toMatch(/^[\w-]{22}$/);
    expect(protectedHeader.kid).toBe(jwks.keys[0].kid);
    await expect(jwtVerify(token, createLocalJWKSet(jwks), { ...options, audience: 'other' })).rejects.toThrow();
  });

  it('has more claims where they are asked for, which change none of its own', async () => {
    const issuer = createIssuer(parts());
    const more = {
      'https://aws.amazon.com/tags': { a: ['b'] },
      sub: 'x',
      workload: 'x',
      instance: 'x',
      aud: 'x',
      exp: 1,
    };
    const token = (await issuer.mint(workload(null), ['sts.amazonaws.com'], more)).reveal().toString();
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({
      'https://aws.amazon.com/tags': { a: ['b'] },
      sub: 'spiffe://example.org/team/agent',
      workload: 'team/agent',
      aud: 'sts.amazonaws.com',
      exp: Math.floor(clock.now() / 1000) + 300,
    });
    expect(claims).not.toHaveProperty('instance');
  });

  it('names no instance where there is none, and is never the same twice', async () => {
    const issuer = createIssuer(parts());
    const mint = async (): Promise<string> => (await issuer.mint(workload(null), ['vault'])).reveal().toString();
    const [one, two] = [await mint(), await mint()];
    expect(one).not.toBe(two);
    const several = JSON.parse(
      Buffer.from(
        (await issuer.mint(workload(null), ['a', 'b'])).reveal().toString().split('.')[1] ?? '',
        'base64url',
      ).toString(),
    );
    expect(several.aud).toEqual(['a', 'b']);
    expect(JSON.parse(Buffer.from(one.split('.')[1] ?? '', 'base64url').toString())).not.toHaveProperty('instance');
  });
});

describe('the keys', () => {
  it('are published without their private part, and sign one after the other', async () => {
    const issuer = createIssuer(parts());
    const before = (await issuer.mint(workload(null), ['v'])).reveal().toString();
    keys.rotate({ revoke: false });
    expect(await kidOf(issuer)).not.toBe(decodeProtectedHeader(before).kid);
    const jwks = { keys: keysOf(issuer) } as JSONWebKeySet;
    for (const token of [before, (await issuer.mint(workload(null), ['v'])).reveal().toString()])
      await jwtVerify(token, createLocalJWKSet(jwks), { audience: 'v', currentDate: new Date(clock.now()) });
    expect(Object.keys(jwks.keys[0] ?? {}).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });

  it('verify nothing of before when they were revoked', async () => {
    const issuer = createIssuer(parts());
    const before = (await issuer.mint(workload(null), ['v'])).reveal().toString();
    keys.rotate({ revoke: true });
    const jwks = { keys: keysOf(issuer) } as JSONWebKeySet;
    await expect(jwtVerify(before, createLocalJWKSet(jwks), { currentDate: new Date(clock.now()) })).rejects.toThrow(
      /no applicable key/,
    );
  });
});

describe('the issuer', () => {
  it('publishes a discovery document with its URL', () => {
    const issuer = createIssuer(parts());
    expect(JSON.parse(issuer.documents.get('/.well-known/openid-configuration') ?? '')).toMatchObject({
      issuer: URL_TEXT,
      jwks_uri: `${URL_TEXT}/.well-known/jwks.json`,
      id_token_signing_alg_values_supported: ['ES256'],
    });
  });

  it('takes the URL of its endpoint only where none is configured', () => {
    const fixed = createIssuer(parts());
    fixed.locate('http://127.0.0.1:1');
    expect(fixed.url).toBe(URL_TEXT);
    const located = createIssuer(parts({ url: null }));
    expect(() => located.url).toThrow(/internal/);
    located.locate('http://127.0.0.1:1');
    located.locate('http://127.0.0.1:2');
    expect(located.url).toBe('http://127.0.0.1:1');
  });

  it.each([
    [{ tokenLifetimeMs: 600_001 }],
    [{ tokenLifetimeMs: 999 }],
    [{ url: 'https://issuer.example/' }],
    [{ url: 'https://issuer.example?x' }],
    [{ url: 'issuer.example' }],
  ])('refuses %j', (more) => {
    expect(() => createIssuer(parts(more))).toThrow(expect.objectContaining({ code: 'configuration_invalid' }));
  });
});
