import { inspect } from 'node:util';
import { createLocalJWKSet, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import { createIssuerKey, type Issuer, type IssuerParts, openIssuer } from '../../../src/workload/issuer.ts';
import type { Workload } from '../../../src/workload/workload.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const URL_TEXT = 'https://issuer.example/tenant';
let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});

const parts = (more: Partial<IssuerParts> = {}): IssuerParts => ({
  url: URL_TEXT,
  listen: { address: '127.0.0.1', port: 0 },
  tokenLifetimeMs: 300_000,
  key: createIssuerKey(),
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

const kidOf = (issuer: Issuer): string | undefined =>
  decodeProtectedHeader(issuer.mint(workload(null), ['v']).reveal().toString()).kid;

describe('a workload token', () => {
  it('says who the workload is, verifies with the published key, and is for one audience', async () => {
    const issuer = await openIssuer(parts());
    const jwks = JSON.parse(issuer.documents.get('/.well-known/jwks.json') ?? '');
    const token = issuer.mint(workload('i-1'), ['vault']).reveal().toString();
    const options = { issuer: URL_TEXT, audience: 'vault', algorithms: ['ES256'], currentDate: new Date(clock.now()) };
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), options);
    const now = Math.floor(clock.now() / 1000);
    expect(payload).toMatchObject({
      sub: 'spiffe://example.org/team/agent',
      aud: ['vault'],
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

  it('names no instance where there is none, and is never the same twice', async () => {
    const issuer = await openIssuer(parts());
    const [one, two] = [1, 2].map(() => issuer.mint(workload(null), ['vault']).reveal().toString());
    expect(one).not.toBe(two);
    expect(JSON.parse(Buffer.from(one?.split('.')[1] ?? '', 'base64url').toString())).not.toHaveProperty('instance');
  });
});

describe('the key', () => {
  it('is the same one after a restart', async () => {
    const key = createIssuerKey();
    const before = await openIssuer(parts({ key: Buffer.from(key) }));
    const after = await openIssuer(parts({ key: Buffer.from(key) }));
    expect(kidOf(before)).toBe(kidOf(after));
  });

  it('has no private part in any document, and its bytes are zeroed', async () => {
    const key = createIssuerKey();
    const { d } = JSON.parse(key.toString());
    const issuer = await openIssuer(parts({ key }));
    expect(d).toHaveLength(43);
    expect([...issuer.documents.values()].join()).not.toContain(d);
    expect(inspect(issuer, { depth: 9, showHidden: true })).not.toContain(d);
    expect(key.every((byte) => byte === 0)).toBe(true);
    await importJWK(JSON.parse(issuer.documents.get('/.well-known/jwks.json') ?? '').keys[0], 'ES256');
  });

  it.each([
    ['text', Buffer.from('not json')],
    [
      'a public key',
      Buffer.from(
        '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}',
      ),
    ],
    ['a private member with marks', Buffer.from('{"kty":"EC","d":"canary-canary"}')],
  ])('is refused where the file holds %s, without showing it', async (_name, key) => {
    const error: unknown = await openIssuer(parts({ key })).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'configuration_invalid' });
    expect(inspect(error, { depth: 9 })).not.toContain('canary');
  });
});

describe('the issuer', () => {
  it('publishes a discovery document with its URL', async () => {
    const issuer = await openIssuer(parts());
    expect(JSON.parse(issuer.documents.get('/.well-known/openid-configuration') ?? '')).toMatchObject({
      issuer: URL_TEXT,
      jwks_uri: `${URL_TEXT}/.well-known/jwks.json`,
      id_token_signing_alg_values_supported: ['ES256'],
    });
  });

  it('takes the URL of its endpoint only where none is configured', async () => {
    const fixed = await openIssuer(parts());
    fixed.locate('http://127.0.0.1:1');
    expect(fixed.url).toBe(URL_TEXT);
    const located = await openIssuer(parts({ url: null }));
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
  ])('refuses %j', async (more) => {
    await expect(openIssuer(parts(more))).rejects.toMatchObject({ code: 'configuration_invalid' });
  });
});
