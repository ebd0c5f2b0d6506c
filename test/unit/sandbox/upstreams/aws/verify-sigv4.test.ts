import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../../src/core/headers.ts';
import { checksum } from '../../../../../src/sandbox/upstreams/aws/checksums.ts';
import { awsHost } from '../../../../../src/sandbox/upstreams/aws/hosts.ts';
import { type RequestToSign, signRequest } from '../../../../../src/sandbox/upstreams/aws/sign.ts';
import { verifySigV4 } from '../../../../../src/sandbox/upstreams/aws/verify-sigv4.ts';
import type { SandboxRequest } from '../../../../../src/sandbox/upstreams/message.ts';
import { AWS_KEY, ENDED_AWS_KEY_ID, fakeRegistry, LONG_LIVED_KEY_ID } from '../sandbox-client.ts';
import { systemClock } from '../system-clock.ts';

type Fields = readonly (readonly [string, string])[];

const NOW = Date.UTC(2026, 0, 2, 0, 5, 0);
const STS = 'sts.us-east-1.amazonaws.com';
const S3 = 's3.us-east-1.amazonaws.com';
const TRAILER_MODE = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

function judge(request: SandboxRequest, registry = fakeRegistry(), now = NOW): ReturnType<typeof verifySigV4> {
  const host = awsHost(request.host);
  if (host === null) throw new Error('no such host');
  return verifySigV4(request, host, registry, { ...systemClock, now: () => now });
}

const codeOf = (request: SandboxRequest): string => {
  const verdict = judge(request);
  return verdict.ok ? 'accepted' : verdict.failure.code;
};

function requestOf(host: string, target: string, fields: Fields, body: Buffer, method = 'POST'): SandboxRequest {
  const [path = '', query = null] = target.split(/\?(.*)/s);
  return { host, method, target, path, query, headers: HeaderList.of(['host', host], ...fields), body };
}

interface Parts {
  readonly host?: string;
  readonly target?: string;
  readonly fields?: Fields;
  readonly body?: string;
  readonly keys?: Parameters<typeof signRequest>[1];
  readonly scope?: Parameters<typeof signRequest>[2];
  readonly now?: number;
}

/** A request that verifies, unless the parts are wrong. */
function signed({
  host = STS,
  target = '/',
  fields = [],
  body = 'Action=x',
  keys = AWS_KEY,
  scope,
  now = NOW,
}: Parts = {}) {
  const [path = '', query = null] = target.split(/\?(.*)/s);
  const bytes = Buffer.from(body);
  const toSign: RequestToSign = { method: 'POST', host, path, query, fields, body: bytes };
  const service = awsHost(host)?.service ?? 'sts';
  return requestOf(host, target, signRequest(toSign, keys, scope ?? { region: 'us-east-1', service }, now), bytes);
}

function changed(request: SandboxRequest, change: (headers: HeaderList) => void): SandboxRequest {
  const headers = request.headers.copy();
  change(headers);
  return { ...request, headers };
}

const authorizationOf = (request: SandboxRequest): string => request.headers.get('authorization') ?? '';
const reworded = (request: SandboxRequest, from: string | RegExp, to: string): SandboxRequest =>
  changed(request, (headers) => headers.set('authorization', authorizationOf(request).replace(from, to)));

describe('a signature', () => {
  it('verifies', () => {
    expect(judge(signed())).toMatchObject({ ok: true, accessKeyId: AWS_KEY.accessKeyId });
    const { secretAccessKey } = AWS_KEY;
    expect(judge(signed({ keys: { accessKeyId: LONG_LIVED_KEY_ID, secretAccessKey } })).ok).toBe(true);
  });

  it('verifies over the query sorted, the path as received for S3 and encoded once more for the others', () => {
    expect(judge(signed({ target: '/?b=2&a=1&a=0&bare&c=%2f' })).ok).toBe(true);
    expect(judge(signed({ host: S3, target: '/bucket//a/../b+c%20d' })).ok).toBe(true);
    expect(judge(signed({ host: 'bedrock-runtime.us-east-1.amazonaws.com', target: '/model/a%3A0/invoke' })).ok).toBe(
      true,
    );
  });

  it('verifies where blanks are missing after the commas of its header', () => {
    expect(judge(reworded(signed(), /, /g, ',')).ok).toBe(true);
  });

  it('brings back, where it does not match, the canonical request with the session token in it', () => {
    const verdict = judge(signed({ keys: { ...AWS_KEY, secretAccessKey: 'other' } }));
    const details = new Map(verdict.ok ? [] : (verdict.failure.details ?? []));
    expect(verdict).toMatchObject({ ok: false, failure: { code: 'SignatureDoesNotMatch', status: 403 } });
    expect(details.get('CanonicalRequest')).toContain(AWS_KEY.sessionToken);
    expect(details.get('StringToSign')).toContain('20260102/us-east-1/sts/aws4_request');
  });

  it('agrees with the example of streaming uploads in the S3 documents', () => {
    const headers = [
      ['x-amz-date', '20130524T000000Z'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
      [
        'authorization',
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
          'SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,' +
          'Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
      ],
      ['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
      ['content-encoding', 'aws-chunked'],
      ['x-amz-decoded-content-length', '66560'],
      ['content-length', '66824'],
    ] as const;
    const chunk = (length: number, signature: string): string =>
      `${length.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(length)}\r\n`;
    const body =
      chunk(65_536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
      chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
      chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9');
    const key = {
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      sessionToken: null,
      expiresAt: null,
      alive: true,
    };
    const registry = { findApiKey: () => null, findAwsKey: (accessKeyId: string) => ({ ...key, accessKeyId }) };
    const of = (text: string): SandboxRequest =>
      requestOf('s3.amazonaws.com', '/examplebucket/chunkObject.txt', headers, Buffer.from(text), 'PUT');
    const now = Date.UTC(2013, 4, 24);
    expect(judge(of(body), registry, now)).toMatchObject({ ok: true, body: Buffer.alloc(66_560, 'a') });
    expect(judge(of(body.replace('aaaa\r\n0;', 'aaab\r\n0;')), registry, now)).toMatchObject({
      failure: { code: 'SignatureDoesNotMatch', message: 'A chunk signature does not match.' },
    });
  });
});

describe('a request is refused', () => {
  const { accessKeyId, secretAccessKey } = AWS_KEY;
  it.each<[why: string, code: string, request: SandboxRequest]>([
    ['without Authorization', 'AccessDenied', changed(signed(), (h) => h.delete('authorization'))],
    ['with two of them', 'InvalidArgument', changed(signed(), (h) => h.append('authorization', 'AWS4-HMAC-SHA256 x'))],
    ['signed in the query as well', 'InvalidArgument', signed({ target: '/?X-Amz-Signature=00' })],
    [
      'with a bearer token',
      'AuthorizationHeaderMalformed',
      changed(signed(), (h) => h.set('authorization', 'Bearer x')),
    ],
    ['with SigV4A', 'AuthorizationHeaderMalformed', reworded(signed(), 'AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256')],
    [
      'with a key that nobody issued',
      'InvalidAccessKeyId',
      signed({ keys: { ...AWS_KEY, accessKeyId: 'ASIANOTOFTHESANDBOX0' } }),
    ],
    ['with a key that has ended', 'ExpiredToken', signed({ keys: { ...AWS_KEY, accessKeyId: ENDED_AWS_KEY_ID } })],
    ['without the session token', 'InvalidToken', signed({ keys: { accessKeyId, secretAccessKey } })],
    ['with another session token', 'InvalidToken', signed({ keys: { ...AWS_KEY, sessionToken: 'other' } })],
    [
      'with a token beside a long-lived key',
      'InvalidToken',
      signed({ keys: { ...AWS_KEY, accessKeyId: LONG_LIVED_KEY_ID } }),
    ],
    [
      'signed for another service',
      'AuthorizationHeaderMalformed',
      signed({ scope: { region: 'us-east-1', service: 's3' } }),
    ],
    [
      'signed for another region',
      'AuthorizationHeaderMalformed',
      signed({ scope: { region: 'eu-west-1', service: 'sts' } }),
    ],
    ['signed 16 minutes ago', 'RequestTimeTooSkewed', signed({ now: NOW - 16 * 60_000 })],
    ['signed for in 16 minutes', 'RequestTimeTooSkewed', signed({ now: NOW + 16 * 60_000 })],
    ['whose scope has another date', 'AuthorizationHeaderMalformed', reworded(signed(), '/20260102/', '/20260101/')],
    ['without a date', 'AuthorizationHeaderMalformed', changed(signed(), (h) => h.delete('x-amz-date'))],
    ['with an x-amz field that is not signed', 'AccessDenied', changed(signed(), (h) => h.append('x-amz-meta-a', '1'))],
    [
      'that does not sign host',
      'AuthorizationHeaderMalformed',
      reworded(signed(), 'SignedHeaders=host;', 'SignedHeaders='),
    ],
    ['that signs connection', 'AuthorizationHeaderMalformed', reworded(signed(), '=host;', '=connection;host;')],
    ['whose list of names is not sorted', 'AuthorizationHeaderMalformed', reworded(signed(), '=host;', '=z;host;')],
    ['whose path was changed', 'SignatureDoesNotMatch', { ...signed(), path: '/other' }],
    ['whose query was changed', 'SignatureDoesNotMatch', { ...signed(), query: 'a=1' }],
    ['whose method was changed', 'SignatureDoesNotMatch', { ...signed(), method: 'PUT' }],
    ['whose body was changed', 'XAmzContentSHA256Mismatch', { ...signed(), body: Buffer.from('Action=y') }],
    [
      'whose S3 path was normalised on the way',
      'SignatureDoesNotMatch',
      { ...signed({ host: S3, target: '/b//k' }), path: '/b/k' },
    ],
  ])('%s', (_, code, request) => {
    expect(codeOf(request)).toBe(code);
  });
});

describe('a body', () => {
  /** Signs the seed with what x-amz-content-sha256 announces, which the signer itself would set to the hash. */
  function announced(host: string, mode: string | null, fields: Fields, body: string): SandboxRequest {
    const service = awsHost(host)?.service ?? '';
    const bytes = Buffer.from(body);
    const target = '/bucket/key';
    const [path, query] = [target, null];
    const input: RequestToSign = { method: 'PUT', host, path, query, fields, body: bytes, payload: mode ?? 'absent' };
    return requestOf(host, target, signRequest(input, AWS_KEY, { region: 'us-east-1', service }, NOW), bytes, 'PUT');
  }

  const content = 'hello, sandbox';
  const crc = checksum('crc32', Buffer.from(content));
  const lengthField = ['x-amz-decoded-content-length', `${content.length}`] as const;
  const trailerField = ['x-amz-trailer', 'x-amz-checksum-crc32'] as const;
  const chunked = (trailer: string): string => `5\r\nhello\r\n9\r\n, sandbox\r\n0\r\n${trailer}\r\n`;
  const trailer = `x-amz-checksum-crc32:${crc}\r\n`;

  it('may go without a hash, but not to S3', () => {
    expect(codeOf(announced(STS, null, [], 'a'))).toBe('accepted');
    expect(codeOf({ ...announced(STS, null, [], 'a'), body: Buffer.from('b') })).toBe('SignatureDoesNotMatch');
    expect(codeOf(announced(S3, null, [], 'a'))).toBe('InvalidRequest');
  });

  it('may be unsigned at S3 alone, and then not chunked', () => {
    expect(codeOf(announced(S3, 'UNSIGNED-PAYLOAD', [], 'a'))).toBe('accepted');
    expect(codeOf(announced(S3, 'UNSIGNED-PAYLOAD', [['content-encoding', 'aws-chunked']], 'a'))).toBe(
      'InvalidRequest',
    );
    expect(codeOf(announced(STS, 'UNSIGNED-PAYLOAD', [], 'a'))).toBe('InvalidRequest');
    expect(codeOf(announced(S3, 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', [], 'a'))).toBe('InvalidRequest');
  });

  it('with a trailer is taken out of its envelope', () => {
    const verdict = judge(announced(S3, TRAILER_MODE, [lengthField, trailerField], chunked(trailer)));
    expect(verdict).toMatchObject({ ok: true, body: Buffer.from(content) });
    expect(verdict.ok && verdict.trailers).toEqual([{ name: 'x-amz-checksum-crc32', value: crc }]);
  });

  it.each<[why: string, code: string, fields: Fields, body: string]>([
    [
      'has another length than was said',
      'IncompleteBody',
      [['x-amz-decoded-content-length', '3'], trailerField],
      chunked(trailer),
    ],
    ['says no length', 'MissingContentLength', [trailerField], chunked(trailer)],
    ['has a wrong checksum', 'BadDigest', [lengthField, trailerField], chunked('x-amz-checksum-crc32:AAAAAA==\r\n')],
    ['lacks the trailer that was announced', 'MalformedTrailerError', [lengthField, trailerField], chunked('')],
    ['has a trailer that was not announced', 'MalformedTrailerError', [lengthField], chunked(trailer)],
    ['is cut short', 'IncompleteBody', [lengthField, trailerField], chunked(trailer).slice(0, 12)],
    ['is not chunked at all', 'IncompleteBody', [lengthField, trailerField], content],
  ])('that %s is refused', (_, code, fields, body) => {
    expect(codeOf(announced(S3, TRAILER_MODE, fields, body))).toBe(code);
  });
});
