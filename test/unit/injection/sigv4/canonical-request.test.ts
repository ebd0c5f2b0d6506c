import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../src/core/headers.ts';
import { Secret } from '../../../../src/core/secret.ts';
import {
  canonicalPath,
  canonicalQuery,
  canonicalRequest,
  hashCanonical,
} from '../../../../src/injection/sigv4/canonical-request.ts';

describe('the canonical path', () => {
  it.each([
    ['/model/anthropic.claude%3A0/invoke', '/model/anthropic.claude%253A0/invoke'],
    ['/model/arn%3Aaws%2Fp/invoke', '/model/arn%253Aaws%252Fp/invoke'],
    ['/a+b/c d', '/a%2Bb/c%20d'],
    ['/caf\xc3\xa9', '/caf%C3%A9'],
    ["/!'()*", '/%21%27%28%29%2A'],
    ['/a\x01', '/a%01'],
    ['//a//b/', '/a/b/'],
    ['/a/./b/../c', '/a/c'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/../..', '/'],
    ['/.hidden', '/.hidden'],
    ['/', '/'],
    ['', '/'],
  ])('encodes once more what other services than S3 get: %s', (path, canonical) => {
    expect(canonicalPath(path, 'double')).toBe(canonical);
  });

  it.each(['/k//x/../y', '/a+b', '/a%2Bb', "/!'()*", '/%7Euser', '/./a/', '//'])(
    'leaves an S3 path as it was sent: %s',
    (path) => {
      expect(canonicalPath(path, 'raw')).toBe(path);
    },
  );

  it('folds but does not encode where a service wants single encoding', () => {
    expect(canonicalPath('/@connections//x%3D/../y%3D', 'single')).toBe('/@connections/y%3D');
  });
});

describe('the canonical query', () => {
  it.each([
    [null, ''],
    ['', ''],
    ['acl', 'acl='],
    ['b=2&a=1', 'a=1&b=2'],
    ['a=2&a=1&a', 'a=&a=1&a=2'],
    ['a=b=c', 'a=b=c'],
    ['a%20b=1&a+b=2&a=3', 'a=3&a%20b=1&a+b=2'],
    ['B=1&a=2&A=3', 'A=3&B=1&a=2'],
    ['a-b=1&a=2', 'a=2&a-b=1'],
    ['a=1&&b=2', 'a=1&b=2'],
    ['prefix=x%2Fy&list-type=2', 'list-type=2&prefix=x%2Fy'],
  ])('sorts raw names, then raw values, and decodes nothing: %s', (query, canonical) => {
    expect(canonicalQuery(query)).toBe(canonical);
  });
});

const input = {
  method: 'GET',
  path: '/',
  query: '',
  secretName: null,
  payloadHash: 'UNSIGNED-PAYLOAD',
} as const;

describe('the canonical headers', () => {
  it('fold white space, join what is repeated, and leave an absent one empty', () => {
    const fields = HeaderList.of(
      ['Host', 'h'],
      ['X-A', ''],
      ['X-B', ' a \t  b '],
      ['x-a', '2'],
      ['X-A', '"q  q"'],
      ['other', 'x'],
    );
    const { before, after } = canonicalRequest({
      ...input,
      fields: fields.fields,
      signedNames: ['absent', 'host', 'x-a', 'x-b'],
    });
    expect(after).toBeNull();
    expect(before).toBe('GET\n/\n\nabsent:\nhost:h\nx-a:,2,"q q"\nx-b:a b\n\nabsent;host;x-a;x-b\nUNSIGNED-PAYLOAD');
  });

  it('leave the place of a secret open, and hash its bytes into it', () => {
    const fields = HeaderList.of(['Host', 'h'], ['x-z', '\xe9']);
    const text = canonicalRequest({
      ...input,
      fields: fields.fields,
      signedNames: ['host', 'x-amz-security-token', 'x-z'],
      secretName: 'x-amz-security-token',
    });
    expect(text.before.endsWith('x-amz-security-token:')).toBe(true);
    const whole = `${text.before}TOKEN/+=${text.after ?? ''}`;
    expect(hashCanonical(text, Secret.copyOf(Buffer.from('TOKEN/+=')))).toBe(
      hash('sha256', Buffer.from(whole, 'latin1'), 'hex'),
    );
  });
});
