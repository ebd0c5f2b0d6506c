import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OAuth2SourceOptions } from '../../../../src/credential/options.ts';
import type { CredentialSource, Grant, SourceEvent } from '../../../../src/credential/source.ts';
import { createOAuth2Source } from '../../../../src/credential/sources/oauth2.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { systemClock } from '../../../../src/system-clock.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';
import { workload } from '../permits.ts';
import { BAD_BODIES, CANARY, callerOf, failureIn, Minted, partsIn, signal } from './federated.ts';

const SECRET = 'canary: s/e+c%r&e=t ü';
const DAY_MS = 86_400_000;
let server: FakeProvider;
let folder: string;
let minted: Minted;
let events: SourceEvent[];
let variables: Variables;

beforeEach(async () => {
  server = await FakeProvider.open();
  server.answer = () => ({ body: { access_token: CANARY, token_type: 'bearer', expires_in: 600 } });
  folder = mkdtempSync(join(tmpdir(), 'oauth2-'));
  mkdirSync(join(folder, 'state'), { mode: 0o700 });
  minted = new Minted();
  events = [];
  variables = new Variables((name) => (name === 'CLIENT_SECRET' ? SECRET : null));
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function put(name: string, text: string): string {
  const path = join(folder, name);
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode: 0o400 });
  utimesSync(path, 0, 0);
  return path;
}

const kept = (path: string) => ({ kind: 'file', path, isGroupReadable: false }) as const;

function sourceOf(more: Partial<OAuth2SourceOptions> = {}): CredentialSource {
  const options: OAuth2SourceOptions = {
    ...{ kind: 'oauth2', name: 'o', baseUrl: `${server.baseUrl}/oauth/token`, path: '', caFile: null },
    clientId: 'client id:1',
    auth: { kind: 'clientSecret', secret: { kind: 'variable', name: 'CLIENT_SECRET' }, method: 'basic' },
    grant: { kind: 'clientCredentials' },
    ...{ scope: [], audience: null, resource: null },
    ...more,
  };
  return createOAuth2Source({
    ...{ options, variables, clock: systemClock, ownUid: userInfo().uid, stateDirectory: join(folder, 'state') },
    mintToken: minted.mint,
    onSourceEvent: (event) => events.push(event),
    caller: callerOf(server, '/oauth/token'),
  });
}

const fetch = (more?: Partial<OAuth2SourceOptions>): Promise<Grant> => sourceOf(more).fetch(workload(), signal());
const form = (): Record<string, string> => Object.fromEntries(server.form);
const lifeMs = (grant: Grant): number => grant.expiresAtMonotonicMs - systemClock.monotonicMs();

describe('client credentials', () => {
  it('proves the client by Basic, both parts encoded', async () => {
    const grant = await fetch({ scope: ['a', 'b:c'], audience: 'https://api.test/', resource: 'https://r.test' });
    expect(partsIn(grant)).toEqual({ key: CANARY });
    expect(lifeMs(grant)).toBeLessThanOrEqual(600_000);
    expect(lifeMs(grant)).toBeGreaterThan(580_000);
    const [call] = server.calls;
    expect([call?.method, call?.url, call?.headers['content-type']]).toEqual([
      'POST',
      '/oauth/token',
      'application/x-www-form-urlencoded',
    ]);
    expect(form()).toEqual({
      grant_type: 'client_credentials',
      scope: 'a b:c',
      audience: 'https://api.test/',
      resource: 'https://r.test',
    });
    const [scheme, encoded = ''] = (call?.headers.authorization ?? '').split(' ');
    const [id, secret] = Buffer.from(encoded, 'base64').toString().split(':').map(decodeURIComponent);
    expect([scheme, id, secret]).toEqual(['Basic', 'client id:1', SECRET]);
    await grant.revoke(signal());
    expect(server.calls).toHaveLength(1);
  });

  it('proves it in the form where it is told so, from a file that may change', async () => {
    const path = put('secret', 'canary-one\n');
    const source = sourceOf({ auth: { kind: 'clientSecret', secret: kept(path), method: 'post' } });
    await source.fetch(workload(), signal());
    expect(form()).toEqual({
      grant_type: 'client_credentials',
      client_id: 'client id:1',
      client_secret: 'canary-one',
    });
    expect(server.calls[0]?.headers.authorization).toBeUndefined();
    put('secret', 'canary-two');
    await source.fetch(workload(), signal());
    expect(form()['client_secret']).toBe('canary-two');
  });

  it('asks nobody where the secret cannot be used', async () => {
    for (const [text, mode, expected] of [
      ['', 0o400, /credential_invalid: .*is empty/],
      ['canary\nmore', 0o400, /credential_invalid: .*control character/],
      ['canary', 0o444, /credential_invalid: .*chmod 0400/],
    ] as const) {
      const path = put('secret', text);
      chmodSync(path, mode);
      const { message } = await failureIn(
        fetch({ auth: { kind: 'clientSecret', secret: kept(path), method: 'post' } }),
      );
      expect(message).toMatch(expected);
    }
    const unset = { kind: 'clientSecret', secret: { kind: 'variable', name: 'NONE' }, method: 'post' } as const;
    expect((await failureIn(fetch({ auth: unset }))).message).toMatch(/credential_unavailable: .*not set/);
    expect(server.calls).toEqual([]);
  });
});

describe('private_key_jwt', () => {
  const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  type KeyAuth = Extract<OAuth2SourceOptions['auth'], { kind: 'privateKeyJwt' }>;
  const auth = (path: string, more: Partial<KeyAuth> = {}): KeyAuth => ({
    ...{ kind: 'privateKeyJwt', path, isGroupReadable: false, alg: null, kid: null, audience: 'https://as.test/token' },
    ...more,
  });

  it.each([
    ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['ES384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['EdDSA', () => generateKeyPairSync('ed25519')],
  ] as const)('signs an assertion of one minute and one use: %s', async (alg, make) => {
    const { privateKey, publicKey } = make();
    const source = sourceOf({ auth: auth(put('key.pem', pem(privateKey)), { kid: 'k1' }) });
    const ids = new Set<unknown>();
    for (let i = 0; i < 2; i++) {
      await source.fetch(workload(), signal());
      const { client_assertion: assertion = '', ...rest } = form();
      expect(rest).toEqual({
        grant_type: 'client_credentials',
        client_id: 'client id:1',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      });
      const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, {
        ...{ issuer: 'client id:1', subject: 'client id:1', audience: 'https://as.test/token' },
      });
      expect(protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'k1' });
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
      ids.add(payload.jti);
    }
    expect(ids.size).toBe(2);
  });

  it('is not sent where the key cannot be used', async () => {
    const rsa = pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
    const locked = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    });
    const x25519 = pem(generateKeyPairSync('x25519').privateKey);
    for (const [text, alg, expected] of [
      [rsa, 'ES256', /does not fit its algorithm/],
      [locked.toString(), null, /has a passphrase/],
      ['canary', null, /no private key in PEM/],
      [x25519, null, /of a kind that no algorithm/],
    ] as const) {
      const error = await failureIn(fetch({ auth: auth(put('key.pem', text), { alg }) }));
      expect(error.message).toMatch(/^credential_invalid/);
      expect(error.message).toMatch(expected);
    }
    expect(server.calls).toEqual([]);
  });

  it('is sent once, since an assertion is good for one use', async () => {
    server.answer = () => 'reset';
    const key = put('key.pem', pem(generateKeyPairSync('ed25519').privateKey));
    expect((await failureIn(fetch({ auth: auth(key) }))).code).toBe('credential_unavailable');
    expect(server.calls).toHaveLength(1);
  });
});

describe('a refresh token', () => {
  const grant = (path: string) => ({ kind: 'refreshToken', token: kept(path) }) as const;
  const none = { kind: 'none' } as const;
  let serial = 0;
  /** Gives a new token for each use and takes none twice. */
  function rotate(first: string): void {
    let good = first;
    server.answer = async () => {
      const used = form()['refresh_token'];
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (used !== good) return { status: 400, body: { error: 'invalid_grant', error_description: CANARY } };
      good = `canary-refresh-${++serial}`;
      return {
        body: { access_token: `${CANARY}-${serial}`, token_type: 'Bearer', expires_in: 60, refresh_token: good },
      };
    };
  }
  const storedIn = (): string[] => readdirSync(join(folder, 'state', 'oauth2'));

  it('is followed through its changes, one use at a time, and beyond the process', async () => {
    const path = put('refresh', 'canary-first');
    rotate('canary-first');
    const source = sourceOf({ auth: none, grant: grant(path) });
    await Promise.all([1, 2, 3].map((i) => source.fetch(workload(`w${i}`), signal())));
    expect(server.calls.map(({ body }) => new URLSearchParams(body).get('client_id'))).toEqual(
      Array(3).fill('client id:1'),
    );
    const [file = ''] = storedIn();
    expect(storedIn()).toHaveLength(1);
    expect(statSync(join(folder, 'state', 'oauth2', file)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'state', 'oauth2')).mode & 0o777).toBe(0o700);
    // Another process goes on where this one was.
    expect(partsIn(await sourceOf({ auth: none, grant: grant(path) }).fetch(workload(), signal()))).toEqual({
      key: `${CANARY}-${serial}`,
    });
    expect(events).toEqual([]);
  });

  it('is another one as soon as the user gives another', async () => {
    const path = put('refresh', 'canary-first');
    rotate('canary-first');
    const source = sourceOf({ auth: none, grant: grant(path) });
    await source.fetch(workload(), signal());
    put('refresh', 'canary-given-anew');
    rotate('canary-given-anew');
    await source.fetch(workload(), signal());
    await sourceOf({ auth: none, grant: grant(path) }).fetch(workload(), signal());
    expect(server.calls).toHaveLength(3);
  });

  it('stays where the server gives no new one', async () => {
    const source = sourceOf({ auth: none, grant: grant(put('refresh', 'canary-first')) });
    for (let i = 0; i < 2; i++) {
      await source.fetch(workload(), signal());
      expect(form()).toEqual({
        grant_type: 'refresh_token',
        refresh_token: 'canary-first',
        client_id: 'client id:1',
      });
    }
  });

  it('is not lost where who waited for it has gone', async () => {
    const path = put('refresh', 'canary-first');
    rotate('canary-first');
    const source = sourceOf({ auth: none, grant: grant(path) });
    const gone = new AbortController();
    const waiting = source.fetch(workload(), gone.signal);
    gone.abort();
    await waiting.catch(() => {});
    await source.fetch(workload(), signal());
    expect(server.calls).toHaveLength(2);
  });

  it('that cannot be written is told, and used as long as the process lives', async () => {
    const path = put('refresh', 'canary-first');
    symlinkSync('/nonexistent/folder', join(folder, 'state', 'oauth2'));
    rotate('canary-first');
    const broken = sourceOf({ auth: none, grant: grant(path) });
    await broken.fetch(workload(), signal());
    await broken.fetch(workload(), signal());
    expect(events.map(({ kind }) => kind)).toEqual(['refresh_token_not_stored', 'refresh_token_not_stored']);
  });

  it('that was used up is a refusal', async () => {
    rotate('canary-another');
    const error = await failureIn(fetch({ auth: none, grant: grant(put('refresh', 'canary-old')) }));
    expect(error.message).toMatch(/credential_denied: .*may have ended or be used up/);
    expect(error.retryAfterMs).toBeNull();
  });

  it('that was stored and is broken does not count', async () => {
    const path = put('refresh', 'canary-first');
    rotate('canary-first');
    await fetch({ auth: none, grant: grant(path) });
    const [file = ''] = storedIn();
    const stored = join(folder, 'state', 'oauth2', file);
    expect(readFileSync(stored, 'utf8')).toMatch(/^[0-9a-f]{64}\ncanary-refresh-[0-9]+$/);
    writeFileSync(stored, 'half');
    rotate('canary-first');
    await fetch({ auth: none, grant: grant(path) });
    expect(form()['refresh_token']).toBe('canary-first');
  });
});

describe('token exchange', () => {
  const grant = { kind: 'tokenExchange', subjectAudience: ['https://as.test'] } as const;
  const issued = 'urn:ietf:params:oauth:token-type:access_token';

  it('shows the token of the workload', async () => {
    server.answer = () => ({
      body: { access_token: CANARY, token_type: 'Bearer', expires_in: 60, issued_token_type: issued },
    });
    expect(partsIn(await fetch({ grant, audience: 'api' }))).toEqual({ key: CANARY });
    expect(form()).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'jwt.of-agent.for-https://as.test',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: issued,
      audience: 'api',
    });
    expect(minted.tokens.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  });

  it.each([
    ['no token type', undefined],
    ['a refresh token', 'urn:ietf:params:oauth:token-type:refresh_token'],
    ['a SAML assertion', 'urn:ietf:params:oauth:token-type:saml2'],
  ])('refuses what is no access token: %s', async (_name, type) => {
    server.answer = () => ({
      body: { access_token: CANARY, token_type: 'Bearer', expires_in: 60, issued_token_type: type },
    });
    expect((await failureIn(fetch({ grant }))).message).toMatch(/credential_invalid: .*no access token/);
    expect(minted.tokens.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  });
});

describe('answers', () => {
  it.each([
    ['beyond a day', { expires_in: 1e12 }, DAY_MS],
    ['not said', { expires_in: undefined }, 300_000],
  ])('that last %s', async (_name, more, expectedMs) => {
    server.answer = () => ({ body: { access_token: CANARY, token_type: 'BEARER', ...more } });
    const life = lifeMs(await fetch());
    expect(life).toBeLessThanOrEqual(expectedMs);
    expect(life).toBeGreaterThan(expectedMs - 20_000);
  });

  it.each<[string, string | object]>([
    ...BAD_BODIES.map(([name, body]): [string, string | object] => [name, body]),
    ['no type', { access_token: CANARY, expires_in: 60 }],
    ['the type MAC', { access_token: CANARY, token_type: 'mac', expires_in: 60 }],
    ['N_A', { access_token: CANARY, token_type: 'N_A', expires_in: 60 }],
    ['a lifetime of 0', { access_token: CANARY, token_type: 'Bearer', expires_in: 0 }],
    ['a negative lifetime', { access_token: CANARY, token_type: 'Bearer', expires_in: -1 }],
    ['a lifetime as text', { access_token: CANARY, token_type: 'Bearer', expires_in: '60' }],
    ['an empty token', { access_token: '', token_type: 'Bearer', expires_in: 60 }],
    ['a token with a line end', { access_token: `${CANARY}\r\nX: 1`, token_type: 'Bearer', expires_in: 60 }],
    ['a number as token', { access_token: 42, token_type: 'Bearer', expires_in: 60 }],
    ['no token', { token_type: 'Bearer', expires_in: 60 }],
  ])('are refused: %s', async (_name, body) => {
    server.answer = () => ({ body });
    expect((await failureIn(fetch())).code).toBe('credential_invalid');
  });

  it.each([
    [400, 'invalid_client', 'credential_denied', null],
    [401, 'invalid_client', 'credential_denied', null],
    [400, 'invalid_grant', 'credential_denied', null],
    [400, 'unauthorized_client', 'credential_denied', null],
    [400, 'invalid_scope', 'credential_denied', null],
    [400, 'invalid_target', 'credential_denied', null],
    [400, 'something_else', 'credential_denied', null],
    [400, 'slow_down', 'credential_unavailable', 7000],
    [503, 'temporarily_unavailable', 'credential_unavailable', 7000],
    [500, '', 'credential_unavailable', 7000],
    [302, '', 'credential_unavailable', 7000],
  ] as const)('are told as what they are: %i %s', async (status, error, code, retryAfterMs) => {
    server.answer = () => ({
      status,
      headers: { 'retry-after': '7', location: 'https://elsewhere.test' },
      body: { error, error_description: `${CANARY} ${SECRET}` },
    });
    expect(await failureIn(fetch())).toMatchObject({ code, retryAfterMs });
  });
});
