import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../src/core/headers.ts';
import type { RequestHead } from '../../../../src/core/message.ts';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { bytesOf, credentialOf, PLACEHOLDERS, requestOf } from '../materials.ts';
import { EMPTY, inject, MAX_BODY, REAL, refusal } from './authorizing.ts';
import { awsAccepts, type ClientCall, clientSigned } from './client.ts';

const payloadHashOf = (head: RequestHead, body = ''): string =>
  head.headers.get('x-amz-content-sha256') ?? hash('sha256', body, 'hex');

describe('a request signed with the placeholder pair', () => {
  const calls: readonly (readonly [name: string, call: ClientCall])[] = [
    ['an S3 object whose key has empty segments, dots, + and !()', { path: '/bkt/k//x/../y+z/%21%28%29' }],
    ['an S3 listing', { query: { 'list-type': '2', prefix: 'a b/ü', delimiter: '/' } }],
    ['a query with repeated and bare names', { query: { a: ['2', '1'], acl: '' } }],
    [
      'an STS form',
      {
        service: 'sts',
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'Action=GetCallerIdentity&Version=2011-06-15',
      },
    ],
    [
      'a Bedrock model id',
      {
        service: 'bedrock',
        host: 'bedrock-runtime.us-east-1.amazonaws.com',
        method: 'POST',
        path: '/model/anthropic.claude%3A0/invoke',
        body: '{}',
      },
    ],
    [
      'headers of the SDK',
      {
        headers: {
          'amz-sdk-invocation-id': 'x',
          'amz-sdk-request': 'attempt=1',
          'x-amz-user-agent': 'a  b',
          'content-type': 'text/plain',
        },
      },
    ],
    ['a leftover session token', { sessionToken: 'stale-token' }],
  ];

  it.each(calls)('is signed again so that AWS takes it: %s', async (_name, call) => {
    const head = await clientSigned(call);
    const result = await inject(head, { request: requestOf(head, call.body) });
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, payloadHashOf(head, call.body))).toBe(
      true,
    );
    expect(result.head.target).toBe(head.target);
    expect(result.head.headers.get('authorization')).toContain(`Credential=${REAL.accessKeyId}/20260115/`);
    expect(result.secretFields.map((field) => [field.name, bytesOf(field)])).toEqual([
      ['X-Amz-Security-Token', REAL.sessionToken],
    ]);
  });

  it('gets the date of the proxy, not its own', async () => {
    const head = await clientSigned({ at: new Date('2026-01-14T03:00:00Z') });
    const result = await inject(head);
    expect(result.head.headers.getAll('x-amz-date')).toEqual(['20260115T120000Z']);
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, EMPTY)).toBe(true);
  });

  it('loses its token where the real key has none', async () => {
    const { accessKeyId, secretAccessKey } = REAL;
    const result = await inject(await clientSigned({ sessionToken: 'stale' }), {
      credential: credentialOf({ accessKeyId, secretAccessKey }),
    });
    expect(result.secretFields).toEqual([]);
    expect(result.head.headers.has('x-amz-security-token')).toBe(false);
    expect(awsAccepts(result.head, [], secretAccessKey, EMPTY)).toBe(true);
  });

  it('is signed again with the path encoding under which it verified', async () => {
    const host = 'abc123.execute-api.us-east-1.amazonaws.com';
    const call = { service: 'execute-api', host, path: '/prod/%40connections/x%3D' };
    const once = await inject(await clientSigned({ ...call, encodesPathAgain: false }));
    const twice = await inject(await clientSigned({ ...call, encodesPathAgain: true }));
    expect(awsAccepts(twice.head, twice.secretFields, REAL.secretAccessKey, EMPTY)).toBe(true);
    const signature = (request: AuthorizedRequest): string =>
      request.head.headers.get('authorization')?.slice(-64) ?? '';
    expect(signature(once)).not.toBe(signature(twice));
    // As the SDK itself would have signed with the real key.
    for (const [request, encodesPathAgain] of [
      [once, false],
      [twice, true],
    ] as const) {
      const real = await clientSigned({ ...call, ...REAL, encodesPathAgain, at: new Date('2026-01-15T12:00:00Z') });
      expect(request.head.headers.get('authorization')).toBe(real.headers.get('authorization'));
    }
  });

  it('is signed for the key that S3 reads, where the client signs a slash and sends it escaped', async () => {
    const signed = await clientSigned({ path: '/bucket/a//../b%2Bc' });
    for (const path of ['/bucket/a/%2F../b%2Bc', '/bucket/a%2f/../b%2Bc']) {
      const result = await inject({ ...signed, headers: signed.headers.copy(), path, target: path });
      expect(result.head.path).toBe(path);
      const read = { ...result.head, path: signed.path };
      expect(awsAccepts(read, result.secretFields, REAL.secretAccessKey, EMPTY)).toBe(true);
    }
    // Elsewhere an escaped slash is no slash.
    const other = await clientSigned({ service: 'dynamodb', path: '/a/b' });
    expect(await refusal({ ...other, path: '/a%2Fb', target: '/a%2Fb' })).toMatch(/^client_signature_invalid/);
  });

  it('is named in the audit with scope and payload mode', async () => {
    expect((await inject(await clientSigned())).injected).toBe('sigv4 s3/us-east-1 signed-payload');
  });

  it('has nothing of what hops add or hide, signed or not', async () => {
    const head = await clientSigned({
      headers: { 'accept-encoding': 'gzip', cookie: 'a=b', date: 'Thu, 15 Jan 2026 11:58:00 GMT', 'x-keep': '1' },
    });
    for (const [name, value] of [
      ['Connection', 'keep-alive, x-hop'],
      ['X-Hop', '1'],
      ['User-Agent', 'ua'],
      ['X-Amzn-Trace-Id', 't'],
    ] as const)
      head.headers.append(name, value);
    const { head: sent, secretFields } = await inject(head);
    const names = (/SignedHeaders=([^,]+)/.exec(sent.headers.get('authorization') ?? '')?.[1] ?? '').split(';');
    expect(names).toEqual(['host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token', 'x-keep']);
    expect([...sent.headers].map(({ key }) => key).sort()).toEqual([
      'accept-encoding',
      'authorization',
      'host',
      'user-agent',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amzn-trace-id',
      'x-keep',
    ]);
    expect(awsAccepts(sent, secretFields, REAL.secretAccessKey, EMPTY)).toBe(true);
  });

  it('never has a secret in a string', async () => {
    const { head, injected } = await inject(await clientSigned());
    const strings = JSON.stringify([head, [...head.headers], injected]);
    for (const secret of [REAL.secretAccessKey, REAL.sessionToken, PLACEHOLDERS.awsSecretAccessKey])
      expect(strings).not.toContain(secret);
  });

  it('is refused after any change of a single bit of what was signed', async () => {
    const head = await clientSigned({ path: '/bkt/key', query: { a: '1' }, headers: { 'x-note': 'hello' } });
    const places = ['path', 'query', 'x-note', 'x-amz-content-sha256', 'x-amz-date', 'authorization'] as const;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), fc.nat(), fc.nat(6), async (place, at, bit) => {
        const original =
          (place === 'path' ? head.path : place === 'query' ? head.query : head.headers.get(place)) ?? '';
        const bytes = Buffer.from(original, 'latin1');
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << bit);
        const changed = bytes.toString('latin1');
        const fields = [...head.headers].map((field) => (field.key === place ? { ...field, value: changed } : field));
        const path = place === 'path' ? changed : head.path;
        const query = place === 'query' ? changed : head.query;
        const request = { ...head, path, query, target: `${path}?${query}`, headers: new HeaderList(fields) };
        // White space that is folded away does not change what was signed.
        const isNoChange = place === 'authorization' && changed.replace(/ +/g, '') === original.replace(/ +/g, '');
        const outcome = await refusal(request, { host: 's3.us-east-1.amazonaws.com' });
        expect(isNoChange || /^(?:client_signature_invalid|signing_unsupported): /.test(outcome)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused after a change of a single bit of a body without announced hash', async () => {
    const call = { service: 'sts', method: 'POST', body: 'Action=GetCallerIdentity', checksum: false };
    const head = await clientSigned(call);
    expect(await refusal(head, { request: requestOf(head, 'Action=GetCallerIdentitx') })).toMatch(
      /^client_signature_invalid: the signature does not match/,
    );
  });
});

describe('the payload', () => {
  it('is buffered, hashed and sent with its length where no hash was announced', async () => {
    const body = 'Action=GetCallerIdentity';
    const signed = await clientSigned({ service: 'sts', method: 'POST', body, checksum: false });
    const head = { ...signed, framing: { kind: 'chunked' } as const };
    const request = requestOf(head, body);
    const result = await inject(head, { request });
    expect(request.continued).toBe(1);
    expect(result.head.framing).toEqual({ kind: 'length', length: body.length });
    expect((await result.body.read())?.toString()).toBe(body);
    expect(result.head.headers.has('x-amz-content-sha256')).toBe(false);
    expect(result.injected).toBe('sigv4 sts/us-east-1 buffered-payload');
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, hash('sha256', body, 'hex'))).toBe(true);
  });

  it('gets the header that S3 wants where the client left it out', async () => {
    const head = await clientSigned({ method: 'PUT', path: '/b/k', body: 'data', checksum: false });
    const result = await inject(head, { request: requestOf(head, 'data') });
    expect(result.head.headers.get('x-amz-content-sha256')).toBe(hash('sha256', 'data', 'hex'));
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, hash('sha256', 'data', 'hex'))).toBe(
      true,
    );
  });

  it('is refused where it would have to be buffered and is too large, before it is asked for', async () => {
    const body = 'x'.repeat(MAX_BODY + 1);
    const head = await clientSigned({ service: 'sts', method: 'POST', body, checksum: false });
    const request = requestOf(head, body);
    expect(await refusal(head, { request })).toMatch(/^request_body_too_large: /);
    expect(request.continued).toBe(0);
  });

  it('is refused where it turns out to be too large', async () => {
    const body = 'x'.repeat(MAX_BODY + 1);
    const head = await clientSigned({ service: 'sts', method: 'POST', body, checksum: false });
    const request = requestOf({ ...head, framing: { kind: 'chunked' } }, body);
    expect(await refusal(head, { request: { ...request, body: { ...request.body, length: null } } })).toMatch(
      /^request_body_too_large: /,
    );
  });

  it.each([
    ['UNSIGNED-PAYLOAD', 'unsigned-payload', {}],
    [
      'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'streaming-unsigned-payload-trailer',
      {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': '4',
        'x-amz-trailer': 'x-amz-checksum-crc32',
      },
    ],
    ['a'.repeat(64), 'signed-payload', {}],
  ] as const)('is passed on unread where %s is announced', async (announced, mode, headers) => {
    const signed = await clientSigned({
      method: 'PUT',
      path: '/b/k',
      headers: { 'x-amz-content-sha256': announced, ...headers },
    });
    const head = { ...signed, framing: { kind: 'chunked' } as const };
    const request = requestOf(head, 'anything');
    const result = await inject(head, { request });
    expect(request.continued).toBe(0);
    expect(result.body).toBe(request.body);
    expect(result.head.framing).toEqual({ kind: 'chunked' });
    expect(result.head.headers.get('x-amz-content-sha256')).toBe(announced);
    for (const [name, value] of Object.entries(headers)) expect(result.head.headers.get(name)).toBe(value);
    expect(result.injected).toBe(`sigv4 s3/us-east-1 ${mode}`);
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, announced)).toBe(true);
  });

  it.each([
    ['STREAMING-SOMETHING', /neither/],
    ['A'.repeat(64), /neither/],
    ['', /neither/],
  ])('is refused where "%s" is announced', async (announced, why) => {
    const head = await clientSigned();
    head.headers.set('x-amz-content-sha256', announced);
    const outcome = await refusal(head);
    expect(outcome).toMatch(/^signing_unsupported: /);
    expect(outcome).toMatch(why);
  });

  it('is refused where it is announced twice, or aws-chunked and unsigned at once', async () => {
    const twice = await clientSigned();
    twice.headers.append('x-amz-content-sha256', EMPTY);
    expect(await refusal(twice)).toBe('signing_unsupported: X-Amz-Content-Sha256 is repeated');
    const both = await clientSigned({
      headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'content-encoding': 'gzip, aws-chunked' },
    });
    expect(await refusal(both)).toBe('signing_unsupported: aws-chunked cannot be combined with UNSIGNED-PAYLOAD');
  });
});
