import { expect, it } from 'vitest';
import {
  type CanonicalInput,
  canonicalRequest,
  EMPTY_SHA256,
  signatureOf,
  signingKey,
  stringToSign,
} from '../../../../../src/sandbox/upstreams/aws/canonical.ts';

const EXAMPLE_SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const SCOPE = { date: '20150830', region: 'us-east-1', service: 'service' };
const plain: CanonicalInput = {
  method: 'GET',
  path: '/',
  query: null,
  signed: [
    { name: 'host', values: ['example.amazonaws.com'] },
    { name: 'x-amz-date', values: ['20150830T123600Z'] },
  ],
  payloadHash: EMPTY_SHA256,
  service: 'service',
};

const lineOf = (input: Partial<CanonicalInput>, line: number): string | undefined =>
  canonicalRequest({ ...plain, ...input }).split('\n')[line];

it('gives the signature of the first case in the AWS test suite', () => {
  const text = stringToSign('20150830T123600Z', SCOPE, canonicalRequest(plain));
  expect(signatureOf(signingKey(EXAMPLE_SECRET, SCOPE), text)).toBe(
    '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  );
});

it.each([
  ['/', '/'],
  ['/a//b/./c/../d/', '/a/b/d/'],
  ['/..', '/'],
  ['/model/a%3A0/invoke', '/model/a%253A0/invoke'],
  ['/a+b!~', '/a%2Bb%21~'],
  ['/\u00c3\u00bc', '/%C3%BC'],
])('folds %s and encodes it once more, but not for S3', (path, expected) => {
  expect(lineOf({ path }, 1)).toBe(expected);
  expect(lineOf({ path, service: 's3' }, 1)).toBe(path);
});

it.each([
  ['b=2&a=1', 'a=1&b=2'],
  ['a=2&a=1&a=', 'a=&a=1&a=2'],
  ['uploads', 'uploads='],
  ['a=b=c&&', 'a=b=c'],
  ['a=%2f&A=+&a-b=1', 'A=+&a=%2f&a-b=1'],
])('sorts the query %s by byte and decodes nothing', (query, expected) => {
  expect(lineOf({ query }, 2)).toBe(expected);
});

it('joins the values of a field by a comma, trimmed and with inner blanks folded', () => {
  const signed = [{ name: 'x-amz-meta-a', values: ['  one   two ', 'three'] }];
  expect(lineOf({ signed }, 3)).toBe('x-amz-meta-a:one two,three');
});
