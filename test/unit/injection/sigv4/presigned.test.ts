import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../../../../src/core/message.ts';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { authorized, credentialOf, headOf, PLACEHOLDERS, permitFor, requestOf } from '../materials.ts';
import { EMPTY, REAL, stage } from './authorizing.ts';
import { awsAccepts } from './client.ts';

interface Presigning {
  readonly service?: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly expiresIn?: number;
  readonly at?: string;
  readonly secretAccessKey?: string;
  readonly unhoistable?: readonly string[];
}

/** As the SDK presigns; the clock of the stage says 2026-01-15T12:00:00Z. */
async function presigned(call: Presigning = {}): Promise<RequestHead> {
  const { service = 's3', method = 'GET', path = '/bkt/a%20b//c', query = {}, expiresIn = 900 } = call;
  const host = `${service}.us-east-1.amazonaws.com`;
  const secretAccessKey = call.secretAccessKey ?? PLACEHOLDERS.awsSecretAccessKey;
  const signer = new SignatureV4({
    service,
    region: 'us-east-1',
    credentials: { accessKeyId: PLACEHOLDERS.awsAccessKeyId, secretAccessKey, sessionToken: 'stale-token' },
    sha256: Sha256,
    uriEscapePath: service !== 's3',
  });
  const headers = {
    host,
    ...(service === 's3' ? { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } : {}),
    ...call.headers,
  };
  const request = new HttpRequest({ method, protocol: 'https:', hostname: host, path, query: { ...query }, headers });
  const signed = await signer.presign(request, {
    expiresIn,
    signingDate: new Date(call.at ?? '2026-01-15T11:58:00Z'),
    unhoistableHeaders: new Set(call.unhoistable ?? []),
  });
  const escaped = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const pairs = Object.entries(signed.query ?? {}).map(([name, value]) => `${escaped(name)}=${escaped(String(value))}`);
  return headOf(method, `${path}?${pairs.join('&')}`, Object.entries(signed.headers));
}

const options = { kind: 'sigv4', services: ['s3', 'sts'], regions: ['us-east-1'] } as const;

async function inject(head: RequestHead, presignedAllowed = true): Promise<AuthorizedRequest> {
  const host = head.headers.get('host') ?? '';
  const injection = presignedAllowed ? ({ ...options, presigned: true } as const) : options;
  const permit = permitFor({ host, preset: AWS, injection });
  return authorized(await stage.inject(permit, credentialOf(REAL), requestOf(head)));
}

async function refusal(head: RequestHead, presignedAllowed = true): Promise<string> {
  return inject(head, presignedAllowed).then(
    () => 'accepted',
    (error: Error) => error.message,
  );
}

const withQuery = (head: RequestHead, change: (query: string) => string): RequestHead => {
  const query = change(head.query ?? '');
  return { ...head, query, target: `${head.path}?${query}` };
};

describe('a presigned request', () => {
  it('is signed again in its header, with nothing of its signature left in the query', async () => {
    const head = await presigned({ query: { 'response-content-type': 'text/plain', 'x-id': 'GetObject' } });
    const { head: sent, secretFields, injected } = await inject(head);
    expect(sent.query).toMatch(/^(?:response-content-type=text%2Fplain|x-id=GetObject|&){3}$/);
    expect(sent.target).toBe(`/bkt/a%20b//c?${sent.query}`);
    expect(sent.headers.get('x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD');
    expect(awsAccepts(sent, secretFields, REAL.secretAccessKey, 'UNSIGNED-PAYLOAD')).toBe(true);
    expect(injected).toBe('sigv4 s3/us-east-1 presigned unsigned-payload');
    expect(JSON.stringify([...sent.headers])).not.toMatch(/stale-token|X-Amz-Signature/);
  });

  it('gets the fields back that its signer moved into the query', async () => {
    const head = await presigned({ method: 'PUT', headers: { 'x-amz-meta-note': 'a b', 'x-amz-acl': 'private' } });
    expect(head.query).toContain('x-amz-meta-note=a%20b');
    const { head: sent, secretFields } = await inject(head);
    expect(sent.query).toBeNull();
    expect(sent.target).toBe('/bkt/a%20b//c');
    expect(sent.headers.get('x-amz-meta-note')).toBe('a b');
    expect(awsAccepts(sent, secretFields, REAL.secretAccessKey, 'UNSIGNED-PAYLOAD')).toBe(true);
  });

  it('of another service than S3 is signed over its body', async () => {
    const head = await presigned({
      service: 'sts',
      path: '/',
      query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
    });
    const { head: sent, secretFields } = await inject(head);
    expect(sent.query).toBe('Action=GetCallerIdentity&Version=2011-06-15');
    expect(awsAccepts(sent, secretFields, REAL.secretAccessKey, EMPTY)).toBe(true);
  });

  it('is refused where the binding does not say so, whatever its query has', async () => {
    const sentence =
      /^signing_unsupported: a presigned URL is signed again where the binding says sigv4: \{ presigned: true \}/;
    expect(await refusal(await presigned(), false)).toMatch(sentence);
    expect(
      await refusal(
        withQuery(await presigned(), () => 'X-Amz-Signature=x'),
        false,
      ),
    ).toMatch(sentence);
  });

  it.each([
    [
      'a week and a second',
      { expiresIn: 604_800 },
      (query: string) => query.replace('604800', '604801'),
      /X-Amz-Expires is not one of/,
    ],
    [
      'no time',
      {},
      (query: string) => query.replace('X-Amz-Expires=900', 'X-Amz-Expires=0'),
      /X-Amz-Expires is not one of/,
    ],
    ['its time over', { at: '2026-01-15T11:44:59Z' }, (query: string) => query, /has expired; sign it again/],
    ['a date in the future', { at: '2026-01-15T12:16:00Z' }, (query: string) => query, /is dated in the future/],
    [
      'another secret',
      { secretAccessKey: 'not-the-placeholder' },
      (query: string) => query,
      /the signature does not match/,
    ],
    [
      'a longer time than was signed',
      {},
      (query: string) => query.replace('X-Amz-Expires=900', 'X-Amz-Expires=901'),
      /the signature does not match/,
    ],
    ['a parameter that was not signed', {}, (query: string) => `${query}&versionId=1`, /the signature does not match/],
    [
      'a parameter twice',
      {},
      (query: string) => `${query}&X-Amz-Expires=900`,
      /X-Amz-Expires stands in the query twice/,
    ],
    [
      'an escaped name',
      {},
      (query: string) => query.replace('X-Amz-Expires', 'X-Amz-%45xpires'),
      /X-Amz-Expires stands in the query twice or is spelled oddly/,
    ],
    [
      'a name in another case',
      {},
      (query: string) => query.replace('X-Amz-Date', 'x-amz-date'),
      /X-Amz-Date stands in the query twice or is spelled oddly/,
    ],
    [
      'a part missing',
      {},
      (query: string) => query.replace(/&?X-Amz-SignedHeaders=[^&]*/, ''),
      /the presigned query has no X-Amz-SignedHeaders/,
    ],
    [
      'the scope of another day',
      {},
      (query: string) => query.replace('%2F20260115%2F', '%2F20260114%2F'),
      /different dates/,
    ],
    [
      'a control byte in a field',
      {},
      (query: string) => `${query}&x-amz-meta-a=%0d%0aX:1`,
      /stands there twice or is malformed/,
    ],
  ])('is refused with %s', async (_what, call, change, reason) => {
    expect(await refusal(withQuery(await presigned(call), change))).toMatch(reason);
  });

  it.each([
    [
      'a header signature beside it',
      'Authorization',
      'AWS4-HMAC-SHA256 x',
      /^signing_unsupported: the request is signed in more than one way/,
    ],
    [
      'a field that stands in the query too',
      'X-Amz-Content-Sha256',
      'UNSIGNED-PAYLOAD',
      /stands in the head and in the presigned query/,
    ],
  ])('is refused with %s', async (_what, name, value, reason) => {
    const head = await presigned();
    head.headers.append(name, value);
    expect(await refusal(head)).toMatch(reason);
  });

  it('is refused where it opens a WebSocket', async () => {
    expect(await refusal({ ...(await presigned()), upgrade: 'websocket' })).toMatch(
      /a presigned WebSocket cannot be signed again/,
    );
  });

  it('is refused where the body carries signatures', async () => {
    const fields = {
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'x-amz-decoded-content-length': '1',
    };
    const head = await presigned({ method: 'PUT', headers: fields, unhoistable: Object.keys(fields) });
    expect(await refusal(head)).toMatch(/^signing_unsupported: the signatures in the body are of another kind/);
  });
});

describe('a presigned query of any kind', () => {
  it('is signed again or refused, and never leaves a part of a signature behind', async () => {
    const head = await presigned({ query: { 'x-id': 'GetObject' } });
    const parts = (head.query ?? '').split('&');
    const part = fc.oneof(
      fc.constantFrom(...parts),
      fc.stringMatching(/^[!-~]{0,30}$/),
      fc.constantFrom('X-Amz-%53ignature=x', 'x-amz-a=%00', 'X-Amz-Date'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), fc.shuffledSubarray(parts), async (others, some) => {
        const query = [...some, ...others].join('&');
        const outcome = await inject({ ...head, query, target: `${head.path}?${query}` }).catch(
          (error: Error) => error,
        );
        if (outcome instanceof Error)
          expect(outcome.message).toMatch(/^(?:client_signature_invalid|signing_unsupported|denied): /);
        else expect(outcome.head.query ?? '').not.toMatch(/x-amz-|signature/i);
      }),
      { numRuns: 500 },
    );
    expect((await inject(head)).head.query).toBe('x-id=GetObject');
  });
});

describe('a form that is signed in its body', () => {
  it('is refused with what to do instead', async () => {
    const head = headOf('POST', '/bkt', [
      ['Host', 's3.us-east-1.amazonaws.com'],
      ['Content-Type', 'multipart/form-data; boundary=x'],
    ]);
    expect(await refusal(head)).toMatch(
      /^signing_unsupported: an S3 form upload is signed inside its body.* PutObject/,
    );
  });
});
