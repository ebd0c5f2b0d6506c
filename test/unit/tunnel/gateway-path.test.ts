import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import { readServicePath, signedPlaceOf } from '../../../src/tunnel/gateway-path.ts';

describe('the path of a request to the gateway', () => {
  it.each([
    ['/a', 'a', '/'],
    ['/a/', 'a', '/'],
    ['/openai-api/v1/x', 'openai-api', '/v1/x'],
    ['/a.b-1/c', 'a.b-1', '/c'],
    ['/team~a/x', 'team/a', '/x'],
    ['/a//b', 'a', '//b'],
    ['/a/b/../c', 'a', '/b/../c'],
    ['/a/./b', 'a', '/./b'],
    ['/a/%2F', 'a', '/%2F'],
    ['/a/b?c', 'a', '/b?c'],
    ['/a/...', 'a', '/...'],
  ])('%s is %s and %s', (path, service, rest) => {
    expect(readServicePath(path)).toMatchObject({ service, path: rest });
  });

  it.each([
    '',
    '*',
    'a/b',
    '/',
    '//a',
    '/A',
    '/%61',
    '/a%2fb',
    '/a~',
    '/~a',
    '/a~b~c',
    '/../a',
    '/.',
    '/a/..',
    '/a/../b',
    '/a//../b',
    '/a/b/../../c',
    '/a/%2E%2e/b',
    '/a/.%2e',
    '/a\\b',
    `/${'a'.repeat(300)}/b`,
    '/a/sk-placeholder-cs_x',
    '/a/%73k-placeholder-cs_x',
    '/a/%2573k-placeholder-cs_x',
    '/a/botAKIACSGWX',
    `/a/cs_${'A'.repeat(43)}`,
  ])('%s is refused', (path) => {
    expect(() => readServicePath(path)).toThrow('gateway_path_malformed');
  });

  it('is cut where a reader who resolves dot segments would cut it, or refused', () => {
    const segment = fc.constantFrom('a', 'b', '..', '.', '', '%2e%2e', '%2E.', 'a%2Fb', '...', '~');
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        const path = `/svc/${segments.join('/')}`;
        let read: ReturnType<typeof readServicePath>;
        try {
          read = readServicePath(path);
        } catch {
          return;
        }
        expect(`/svc${read.path}`).toBe(path);
        // WHATWG resolves %2e as well.
        expect(new URL(path.replaceAll(/\/{2,}/g, '/'), 'http://h').pathname).toMatch(/^\/svc(?:\/|$)/);
      }),
    );
  });
});

describe('the place that a request is signed for', () => {
  const placeOf = (authorization: string | null, query: string | null = null) =>
    signedPlaceOf({
      headers: authorization === null ? HeaderList.of() : HeaderList.of(['Authorization', authorization]),
      query,
    });
  const ID = `AKIACSGW${'A'.repeat(52)}`;

  it.each([
    [`AWS4-HMAC-SHA256 Credential=${ID}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host`, 's3', 'us-east-1'],
    [`AWS4-HMAC-SHA256 SignedHeaders=host,Credential=${ID}/20260101/eu-west-1/sts/aws4_request`, 'sts', 'eu-west-1'],
    [`AWS4-ECDSA-P256-SHA256 Credential=${ID}/20260101/s3/aws4_request, SignedHeaders=host`, 's3', null],
  ])('%s', (authorization, service, region) => {
    expect(placeOf(authorization)).toEqual({ service, region });
  });

  it.each([
    [`X-Amz-Credential=${ID}%2F20260101%2Fus-east-1%2Fs3%2Faws4_request`],
    [`a=b&X-Amz-Credential=${ID}%2f20260101%2fus-east-1%2fs3%2faws4_request&c`],
    [`X-Amz-Credential=${ID}/20260101/us-east-1/s3/aws4_request`],
  ])('of the query %s', (query) => {
    expect(placeOf(null, query)).toEqual({ service: 's3', region: 'us-east-1' });
  });

  it.each([
    [null, null],
    ['Bearer key', null],
    ['AWS4-HMAC-SHA256 nothing', null],
    [`AWS4-HMAC-SHA256 Credential=${ID}/20260101/us-east-1/s3`, null],
    [`AWS4-HMAC-SHA256 Credential=${ID}/20260101/us-east-1/../aws4_request`, null],
    [`AWS4-HMAC-SHA256 Credential=${ID}/20260101/evil.example/s3/aws4_request`, null],
    [null, 'x-amz-credential=a'],
    [null, `nX-Amz-Credential=${ID}/20260101/us-east-1/s3/aws4_request`],
  ])('is not in %s, %s', (authorization, query) => {
    expect(placeOf(authorization, query)).toBeNull();
  });
});
