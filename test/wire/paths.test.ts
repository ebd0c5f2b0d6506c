/**
 * Duty: paths to the bytes at the upstream: where a rule is about the path, what it could be fooled by is refused and never
 *   normalised; where none is, the path arrives as it was sent.
 */
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INJECTED, OPEN, S3, SCOPED } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld();
});
afterAll(() => world.close());

interface Answer {
  readonly status: number | undefined;
  readonly code: string | null;
  /** Request line at the upstream, if it got one. */
  readonly line: string | null;
}

async function ask(authority: string, target: string, fields = '', method = 'GET'): Promise<Answer> {
  const before = world.upstream.received.map((text) => text.length);
  const host = authority.slice(0, authority.lastIndexOf(':'));
  const secure = await world.tunnel(authority);
  const heard = hear(secure);
  const raw = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${fields}Connection: close\r\n\r\n`;
  await sendPieces(secure, [Buffer.from(raw, 'latin1')]);
  const { text } = await heard;
  secure.destroy();
  const news = world.upstream.received.map((all, i) => all.slice(before[i] ?? 0)).join('');
  return {
    status: statusesIn(text)[0],
    code: /details="([a-z_]+)"/.exec(text)?.[1] ?? null,
    line: news === '' ? null : news.slice(0, news.indexOf('\r\n')),
  };
}

describe('where a rule is about the path', () => {
  const doubtful: readonly (readonly [why: string, path: string])[] = [
    ['a dot segment', '/v1/files/../models'],
    ['a dot segment at the end', '/v1/files/x/..'],
    ['a single dot', '/v1/files/./x'],
    ['a dot segment that is encoded', '/v1/files/%2e%2e/models'],
    ['in capitals', '/v1/files/%2E%2E/models'],
    ['half encoded', '/v1/files/.%2e/models'],
    ['the other half', '/v1/files/%2e./models'],
    ['a single dot that is encoded', '/v1/files/%2e/x'],
    ['dots behind an encoded slash', '/v1/files/x%2f..%2fmodels'],
    ['encoded dots behind an encoded slash', '/v1/files/x%2f%2e%2e%2fmodels'],
    ['an encoded slash', '/v1/files/x%2fy'],
    ['an encoded slash in capitals', '/v1/files/x%2Fy'],
    ['an encoded slash for one of the rule', '/v1%2ffiles/x'],
    ['an encoded slash before a forbidden name', '/v1/files/x%2f..%2fsecret/k'],
    ['two slashes', '/v1/files//x'],
    ['two slashes at the start', '//v1/files/x'],
    ['two slashes before a forbidden name', '/v1/files//secret/k'],
    ['two slashes within', '/v1//files/x'],
    ['two slashes at the end', '/v1/files/x//'],
    ['a parameter', '/v1/files;x=y/k'],
    ['a parameter behind dots', '/v1/files/..;/models'],
    ['a parameter at the end', '/v1/files/x;jsessionid=1'],
    ['an encoded semicolon', '/v1/files/..%3b/models'],
    ['an encoded backslash', '/v1/files/..%5cmodels'],
    ['NUL', '/v1/files/x%00.json'],
    ['an encoded LF', '/v1/files/x%0a'],
    ['an encoded CRLF', '/v1/files/x%0d%0aHost:%20b.test'],
    ['an encoded DEL', '/v1/files/x%7f'],
    ['an encoded fragment', '/v1/files/x%23y'],
    ['an encoded question mark', '/v1/files/x%3fy'],
    ['dots encoded twice', '/v1/files/%252e%252e/models'],
    ['a slash encoded twice', '/v1/files/x%252fy'],
    ['a slash encoded twice, digit by digit', '/v1/files/x%25%32%66y'],
    ['an overlong dot', '/v1/files/%c0%ae%c0%ae/models'],
    ['an overlong slash', '/v1/files/x%c0%afy'],
    ['an overlong dot of three bytes', '/v1/files/%e0%80%ae%e0%80%ae/models'],
    ['an overlong dot of four bytes', '/v1/files/%f0%80%80%ae/x'],
    ['a byte beyond Unicode', '/v1/files/%f5%80%80%80'],
    ['an escape of IIS', '/v1/files/%u002e%u002e/models'],
    ['an escape that is none', '/v1/files/%zz'],
    ['a percent sign alone', '/v1/files/x%'],
    ['half an escape', '/v1/files/x%2'],
  ];
  it.each(doubtful)('%s is refused, not normalised: %s', async (_why, path) => {
    expect(await ask(SCOPED, path)).toEqual({ status: 403, code: 'path_ambiguous', line: null });
  });

  it.each([
    ['a backslash', '/v1/files/..\\models'],
    ['a fragment', '/v1/files/x#/../models'],
    ['UTF-8', '/v1/files/caf\xc3\xa9'],
    ['Latin-1', '/v1/files/caf\xe9'],
    ['a full-width full stop', '/v1/files/\xef\xbc\x8e\xef\xbc\x8e/models'],
    ['NUL', '/v1/files/\0'],
  ])('%s ends the connection', async (_why, path) => {
    expect(await ask(SCOPED, path)).toEqual({ status: 400, code: 'request_malformed', line: null });
  });

  it.each([
    ['the path itself', '/v1/files/secret/k', 'rule_denied'],
    ['without a rest', '/v1/files/secret', 'rule_denied'],
    ['a final slash', '/v1/files/secret/', 'rule_denied'],
    ['capitals', '/v1/files/SECRET/k', 'rule_denied'],
    ['a letter that is encoded', '/v1/files/%73ecret/k', 'rule_denied'],
    ['a capital that is encoded', '/v1/files/%53ecret/k', 'rule_denied'],
    ['a format suffix', '/v1/files/secret.json', 'rule_denied'],
    ['an encoded slash', '/v1/files/secret%2fk', 'rule_denied'],
    ['another path', '/v1/models', 'rule_missing'],
    ['capitals of the allowed path', '/V1/files/x', 'rule_missing'],
    ['an encoded letter of the allowed path', '/v1/%66iles/x', 'rule_missing'],
    ['a longer name', '/v1/filesystem/x', 'rule_missing'],
    ['a path of another root', '/x/v1/files/y', 'rule_missing'],
  ])('%s: %s is %s', async (_why, path, code) => {
    expect(await ask(SCOPED, path)).toEqual({ status: 403, code, line: null });
  });

  it.each([
    '/v1/files',
    '/v1/files/',
    '/v1/files/a%20b',
    '/v1/files/caf%c3%a9',
    '/v1/files/a+b',
    '/v1/files/a:b@c',
    '/v1/files/~x/...',
    '/v1/files/.hidden/a..b',
    '/v1/files/100%25',
    '/v1/files/secrets/k',
    '/v1/files/x?p=/../%2e%2e//;%00%2f#'.slice(0, -1),
    '/v1/files/x?',
  ])('what can be read in one way only arrives as it was sent: %s', async (path) => {
    expect(await ask(SCOPED, path)).toMatchObject({ status: 200, line: `GET ${path} HTTP/1.1` });
  });
});

/** Keys of S3 as clients send them, and a few that only an attacker would. */
const KEYS = [
  '/bucket/k//x/../y',
  '/bucket//',
  '/bucket//leading',
  '/bucket/a/./b/.',
  '/bucket/..',
  '/bucket/a+b',
  '/bucket/a%2Fb',
  '/bucket/a%2fb',
  '/bucket/%2e%2e/x',
  '/bucket/%252e%252e/x',
  "/bucket/!-_.*'()&$@=;:+,",
  '/bucket/a%20b%C3%A9%00',
  '/bucket/%ff%c0%af',
  '/bucket/Case/case',
  '/bucket/model%3A0/a:b',
];

describe('where no rule is about the path', () => {
  it.each([OPEN, INJECTED].flatMap((authority) => KEYS.map((key) => [authority, key] as const)))(
    '%s%s arrives as it was sent',
    async (authority, key) => {
      const target = `${key}?prefix=a/../b//%2F+c&x`;
      expect(await ask(authority, target)).toMatchObject({ status: 200, line: `GET ${target} HTTP/1.1` });
    },
  );

  it.each(KEYS)('S3 gets %s as it was sent, signed again', async (key) => {
    const answer = await ask(S3, key, await signedFields('GET', key));
    expect(answer).toMatchObject({ status: 200, line: `GET ${key} HTTP/1.1` });
    const fields = world.understood.at(-1)?.fields ?? [];
    const authorization = fields[fields.indexOf('Authorization') + 1] ?? '';
    expect(authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+\/[0-9]{8}\/us-east-1\/s3\/aws4_request/);
    expect(authorization).not.toContain(world.instance.awsAccessKeyId);
  });

  it('S3 gets nothing that was signed for another key', async () => {
    const answer = await ask(S3, '/bucket/k//x', await signedFields('GET', '/bucket/k/y'));
    expect(answer).toEqual({ status: 403, code: 'client_signature_invalid', line: null });
  });
});

/** As an SDK of S3 signs: the path is neither normalised nor encoded again. */
async function signedFields(method: string, path: string): Promise<string> {
  const hostname = S3.slice(0, -4);
  const signer = new SignatureV4({
    service: 's3',
    region: 'us-east-1',
    sha256: Sha256,
    uriEscapePath: false,
    credentials: {
      accessKeyId: world.instance.awsAccessKeyId,
      secretAccessKey: world.instance.awsSecretAccessKey,
    },
  });
  const signed = await signer.sign(new HttpRequest({ method, hostname, path, headers: { host: hostname } }));
  return Object.entries(signed.headers)
    .filter(([name]) => name !== 'host')
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}
