import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { AWS, load, policy, proxy, WALK_THROUGH, world } from './policy-text.ts';

describe('any text whatever', () => {
  const whole =
    WALK_THROUGH +
    proxy('{ sandbox: {} }') +
    world(AWS).replace('name: w }', 'name: w2 }') +
    policy('{ paths: [/a/**], action: allow }');
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ': ',
    '- ',
    '\n',
    '\n  ',
    '&a ',
    '*a',
    '!!str ',
    '? ',
    '"',
    "'",
    '|\n',
    '__proto__',
    'constructor',
    '443',
    '~',
    '\u0000',
    '\ufeff',
    '%YAML 1.1\n',
    '<<: ',
    '{{',
    'toString: 1',
    '1e999',
    '/**',
  );
  const isLoadedOrRefused = (text: string): void => {
    try {
      load(text);
    } catch (thrown) {
      if (!(thrown instanceof ConfigurationError)) throw thrown;
      for (const { line, column, message } of thrown.problems) {
        if (line < 1 || column < 1 || message === '')
          throw new Error(`no place or no words: ${JSON.stringify(thrown.problems)}`);
      }
    }
  };

  it('loads, or is refused with a place: a policy with something cut out and something put in', () => {
    const change = fc.tuple(fc.nat(whole.length), fc.nat(12), pieces);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        isLoadedOrRefused(
          changes.reduce((text, [at, cut, piece]) => text.slice(0, at) + piece + text.slice(at + cut), whole),
        );
      }),
      { numRuns: 400 },
    );
  });

  it('loads, or is refused with a place: values of any type anywhere', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(
        fc.constantFrom(
          'Proxy',
          'Service',
          'WorkloadIdentity',
          'CredentialSource',
          'CredentialBinding',
          'EgressPolicy',
        ),
        value,
        value,
        (kind, metadata, spec) => {
          isLoadedOrRefused(JSON.stringify({ apiVersion: 'countersign.dev/v1alpha1', kind, metadata, spec }));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('loads, or is refused with a place: noise', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 30 }), (parts) =>
        isLoadedOrRefused(parts.join('')),
      ),
      { numRuns: 400 },
    );
  });

  it('is refused where it is nested beyond reason', () => {
    for (const text of ['['.repeat(20_000), '- '.repeat(20_000), '{a: '.repeat(20_000)])
      expect(() => load(text)).toThrow(ConfigurationError);
  });
});
