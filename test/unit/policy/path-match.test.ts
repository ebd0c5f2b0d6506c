import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesAnySpelling, matchesExactly, matchPaths, patternOf, readPath } from '../../../src/policy/path-match.ts';

const exactly = (pattern: string, path: string): boolean => matchesExactly(patternOf(pattern), readPath(path));
const anyhow = (pattern: string, path: string): boolean => matchesAnySpelling(patternOf(pattern), readPath(path));

describe('a pattern on exact bytes', () => {
  it.each([
    ['/v1/files', '/v1/files', true],
    ['/v1/files', '/v1/files/', false],
    ['/v1/files', '/v1/Files', false],
    ['/v1/files', '/v1/file%73', false],
    ['/v1/*', '/v1/files', true],
    ['/v1/*', '/v1/', false],
    ['/v1/*', '/v1/files/a', false],
    ['/v1/*/x', '/v1/files/x', true],
    ['/v1/**', '/v1', true],
    ['/v1/**', '/v1/', true],
    ['/v1/**', '/v1/a/b/c', true],
    ['/v1/**', '/v2/a', false],
    ['/**', '/', true],
    ['/', '/', true],
    ['/', '/a', false],
    ['/projects/a%2Fb/**', '/projects/a%2Fb/issues', true],
    ['/projects/a%2Fb', '/projects/a%2fb', false],
    ['/projects/*', '/projects/a%2Fb', false],
    ['/v1/a*', '/v1/ab', false],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(exactly(pattern, path)).toBe(expected);
  });
});

describe('a pattern on every spelling', () => {
  it.each([
    ['/v1/files', '/V1/FILES/', true],
    ['/v1/files', '/v1/fil%65s', true],
    ['/v1/files', '/v1%2ffiles', true],
    ['/v1/files', '/v1/files.json', true],
    ['/v1/files', '/v1/files/.json', true],
    ['/v1/files', '/v1/files.xml.json', true],
    ['/a/*/b', '/a/x%2Fy/b', true],
    ['/a/*/b', '/a/x/y/b', false],
    ['/a/*/b/*', '/a/x%2Fb%2Fy/b/c', true],
    ['/a/*/b/**', '/a%2Fx%2Fy%2Fb%2Fc', true],
    ['/a/b%2Fc', '/a/b/c', true],
    ['/v1/files', '/v1/filesystem', false],
    ['/v1/files/**', '/v1/files', true],
    ['/v1/files/x', '/v1/files', false],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(anyhow(pattern, path)).toBe(expected);
  });
});

describe('a rule that allows', () => {
  it.each([
    ['/v1/files/*', '/v1/files/a', 'yes'],
    ['/v1/files/*', '/v1/files/a%2Fb', 'ambiguous'],
    ['/v1/files/**', '/v1/files/a%2Fb', 'ambiguous'],
    ['/v1/files/a%2Fb', '/v1/files/a%2Fb', 'yes'],
    ['/v1/files/*', '/v1/other%2Fa', 'no'],
    ['/v1/files/*', '/v1/files/../x', 'ambiguous'],
    ['/v1/files/*', '/other//x', 'ambiguous'],
  ] as const)('%s on %s: %s', (pattern, path, expected) => {
    expect(matchPaths([patternOf(pattern)], readPath(path), false)).toBe(expected);
  });
});

describe('an ambiguous path', () => {
  it.each([
    ['/a/./b', 'a dot segment'],
    ['/a/%2E%2E', 'a dot segment'],
    ['/a/.%2e/b', 'a dot segment'],
    ['/..', 'a dot segment'],
    ['//a', 'an empty segment ("//")'],
    ['/a//', 'an empty segment ("//")'],
    ['/a%2F/b', 'an empty segment ("//")'],
    ['/a\\b', 'a backslash'],
    ['/a%5Cb', 'an escaped backslash'],
    ['/a;b', 'a ";"'],
    ['/a%3Bb', 'an escaped ";"'],
    ['/a%23b', 'an escaped "#"'],
    ['/a%3fb', 'an escaped "?"'],
    ['/a%00', 'an escaped control character'],
    ['/a%1f', 'an escaped control character'],
    ['/a%7F', 'an escaped control character'],
    ['/a%', 'a malformed percent escape'],
    ['/a%2', 'a malformed percent escape'],
    ['/a%g0', 'a malformed percent escape'],
    ['/a%+2', 'a malformed percent escape'],
    ['/a%252e', 'a percent escape that is escaped again'],
    ['/a%25%32e', 'a percent escape that is escaped again'],
    ['/a%25u002e', 'a percent escape that is escaped again'],
    ['/a%c0%ae', 'an escaped byte sequence that is not UTF-8'],
    ['/a%f8', 'an escaped byte sequence that is not UTF-8'],
    ['/a b', 'a space, a control or a non-ASCII character'],
    ['/a\tb', 'a space, a control or a non-ASCII character'],
    ['/\u00e9', 'a space, a control or a non-ASCII character'],
    ['/\u212a', 'a space, a control or a non-ASCII character'],
    ['*', 'a path that does not begin with "/"'],
    ['', 'a path that does not begin with "/"'],
  ])('%j has %s', (path, expected) => {
    expect(readPath(path).ambiguity).toBe(expected);
  });

  it.each(['/', '/a/', '/a.b/..c/d..', '/%C3%A9', '/a%20b', '/a%25', '/a+b:c@d', '/%2e%2ea', '/a%2Fb'])(
    '%s is not',
    (path) => {
      expect(readPath(path).ambiguity).toBe(null);
    },
  );
});

it('what matches exactly also matches on every spelling', () => {
  const piece = fc.constantFrom('a', 'B', '*', 'c.json', 'a%2Fb', '%41', '-');
  const patterns = fc
    .tuple(fc.array(piece, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([segments, rest]) => `/${segments.join('/')}${rest ? '/**' : ''}`);
  const paths = fc
    .array(fc.constantFrom('a', 'B', 'c.json', 'a%2Fb', '%41', '-'), { minLength: 1, maxLength: 5 })
    .map((segments) => `/${segments.join('/')}`);
  fc.assert(
    fc.property(patterns, paths, (pattern, path) => {
      if (exactly(pattern, path)) expect(anyhow(pattern, path)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

it('a hostile path costs no more than a long one', () => {
  const path = `/a${'%2fx'.repeat(2_000)}`;
  const pattern = patternOf('/*/x/*/x/*/x/*/x/*/y');
  for (let i = 0; i < 20; i++) expect(matchesAnySpelling(pattern, readPath(path))).toBe(false);
});
