import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../src/core/headers.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { signRequest } from '../../../../src/injection/sigv4/sign.ts';
import { SigningKeys } from '../../../../src/injection/sigv4/signing-keys.ts';

const AT = Date.parse('2026-01-15T23:59:59.999Z');

function signed(fields: HeaderList, clientNames: readonly string[], received = fields, token: string | null = null) {
  const credential = {
    owner: 'o',
    accessKeyId: 'AKIAEXAMPLEEXAMPLE00',
    secretAccessKey: Secret.copyOf(Buffer.from('secret')),
    sessionToken: token === null ? null : Secret.copyOf(Buffer.from(token)),
    tokenField: 'X-Amz-Security-Token' as const,
  };
  const request = { method: 'GET', path: '/', query: '', payloadHash: 'UNSIGNED-PAYLOAD' } as const;
  const scope = { date: '20260114', service: 's3', region: 'us-east-1' };
  const result = signRequest(
    { ...request, fields: [...fields] },
    { names: clientNames, headers: received },
    scope,
    credential,
    new SigningKeys(),
    AT,
  );
  const headers = new HeaderList(result.fields);
  const names = /SignedHeaders=([^,]+)/.exec(headers.get('authorization') ?? '')?.[1]?.split(';');
  return { headers, names };
}

describe('a signed request', () => {
  it('has scope and X-Amz-Date of one instant, and no Date that the client had signed', () => {
    const fields = HeaderList.of(
      ['Host', 'h'],
      ['Date', 'x'],
      ['X-Amz-Date', 'old'],
      ['Authorization', 'old'],
      ['X-Amz-Security-Token', 'old'],
    );
    const { headers } = signed(fields, ['date', 'host']);
    expect([...headers].map(({ key }) => key)).toEqual(['host', 'x-amz-date', 'authorization']);
    expect(headers.get('x-amz-date')).toBe('20260115T235959Z');
    expect(headers.get('authorization')).toContain('/20260115/us-east-1/s3/aws4_request, ');
  });

  it('keeps a Date that nobody signed', () => {
    expect(signed(HeaderList.of(['Host', 'h'], ['Date', 'x']), ['host']).headers.get('date')).toBe('x');
  });

  it('signs what must be signed, and what the client signed if it is still as it was', () => {
    const fields = HeaderList.of(
      ['Host', 'h'],
      ['X-Amz-Meta-A', '1'],
      ['Content-MD5', 'm'],
      ['Content-Type', 't'],
      ['X-Same', '1'],
      ['X-Changed', '2'],
      ['X-Unsigned', '3'],
      ['X-Twice', 'a'],
    );
    const received = HeaderList.of(
      ['X-Same', '1'],
      ['X-Changed', '1'],
      ['X-Gone', '1'],
      ['X-Twice', 'a'],
      ['X-Twice', 'b'],
    );
    const { names } = signed(fields, ['host', 'x-changed', 'x-gone', 'x-same', 'x-twice'], received, 'token');
    expect(names).toEqual([
      'content-md5',
      'content-type',
      'host',
      'x-amz-date',
      'x-amz-meta-a',
      'x-amz-security-token',
      'x-same',
    ]);
  });

  it('never signs what hops change, even where the client did', () => {
    const never = [
      'connection',
      'content-length',
      'expect',
      'forwarded',
      'keep-alive',
      'proxy-x',
      'sec-websocket-key',
      'te',
      'trailer',
      'transfer-encoding',
      'upgrade',
      'user-agent',
      'via',
      'x-amzn-trace-id',
      'x-forwarded-for',
    ];
    const fields = HeaderList.of(['Host', 'h'], ...never.map((name) => [name, 'v'] as const));
    expect(signed(fields, ['host', ...never]).names).toEqual(['host', 'x-amz-date']);
  });
});
