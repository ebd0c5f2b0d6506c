import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseScope, scopeText } from '../../../src/config/scope.ts';
import { decide } from '../../../src/policy/decide.ts';
import { permitAgain } from '../../../src/policy/permit-again.ts';
import { isWithinReach } from '../../../src/policy/scope.ts';
import { ask, binding, head, policy, revision, service, told, workload } from './question.ts';

const services = [service('a', ['a.test:443']), service('b', ['b.test:443']), service('c', ['c.test:443'])];
const rules = [
  { services: ['a'], paths: ['/secret/**'], action: 'deny' },
  { services: ['a'], methods: ['GET', 'POST'] },
  { services: ['b'], methods: ['GET'], paths: ['/v1/**'] },
] as const;
const OF = revision({ services, policies: [policy('p', rules)], bindings: [binding(['a'])] });

const scoped = (scope: unknown) => ({ workload: { ...workload('agent', 'i-1'), scope: parseScope(scope) } });
const outcome = (scope: unknown, destination: string, method: string | null, path = '/', of = OF): string =>
  told(decide(ask(of, `${destination}:443`, method === null ? null : head(method, path), scoped(scope))));

describe('a scope', () => {
  it.each<[unknown, string, string | null, string, string]>([
    [[{ services: ['a'] }], 'a.test', 'GET', '/x', 'permit p/1'],
    [[{ services: ['a'] }], 'b.test', 'GET', '/v1/x', 'scope_denied'],
    [[{ methods: ['GET'] }], 'a.test', 'POST', '/x', 'scope_denied'],
    [[{ methods: ['GET'] }], 'a.test', 'GET', '/x', 'permit p/1'],
    [[{ services: ['a'], paths: ['/v1/*'] }], 'a.test', 'GET', '/v1/x', 'permit p/1'],
    [[{ services: ['a'], paths: ['/v1/*'] }], 'a.test', 'GET', '/v1/x/y', 'scope_denied'],
    [[{ services: ['a'], paths: ['/v1/**'] }], 'a.test', 'GET', '/v1//x', 'path_ambiguous'],
    [[{ services: ['b'] }, { services: ['a'], methods: ['POST'] }], 'a.test', 'POST', '/x', 'permit p/1'],
    [[{ services: ['a'] }], 'b.test', null, '/', 'scope_denied'],
    [[{ services: ['a'], methods: ['POST'] }], 'a.test', null, '/', 'permit p/1'],
  ])('%j lets %s %s %s be %s', (scope, destination, method, path, expected) => {
    expect(outcome(scope, destination, method, path)).toBe(expected);
  });

  it('a doubt about the path counts only where no rule without a path matches', () => {
    const of = revision({ services, policies: [policy('p', [{ services: ['a'] }])] });
    expect(outcome([{ paths: ['/v1/**'] }, { methods: ['GET'] }], 'a.test', 'GET', '/v1//x', of)).toBe('permit p/0');
    expect(outcome([{ paths: ['/v1/**'] }, { methods: ['POST'] }], 'a.test', 'GET', '/v1//x', of)).toBe(
      'path_ambiguous',
    );
  });

  it('leaves what the policy denies denied, for the policy’s reason', () => {
    expect(outcome([{ services: ['a'], paths: ['/secret/**'] }], 'a.test', 'GET', '/secret/x')).toBe('rule_denied');
    expect(outcome([{ services: ['b'] }], 'b.test', 'DELETE', '/v1/x')).toBe('rule_missing');
    expect(outcome([{ services: ['c'] }], 'c.test', 'GET', '/')).toBe('rule_missing');
  });

  it('is narrower and not wider when a reload takes away a Service that it names', () => {
    const scope = [{ services: ['a'] }];
    const without = revision({ services: services.slice(1), policies: [policy('p', [{}])] });
    expect(outcome(scope, 'a.test', 'GET', '/', without)).toBe('destination_unknown');
    expect(outcome(scope, 'b.test', 'GET', '/', without)).toBe('scope_denied');
  });

  it('never lets pass what passes without it not', () => {
    const names = fc.subarray(['a', 'b', 'c', 'gone'], { minLength: 1 });
    const methods = fc.subarray(['GET', 'POST', 'DELETE'], { minLength: 1 });
    const paths = fc.subarray(['/v1/**', '/secret/**', '/v1/*', '/**'], { minLength: 1 });
    const rule = fc.oneof(
      fc.record({ services: names }, { requiredKeys: ['services'] }),
      fc.record({ methods, paths }, { requiredKeys: ['methods'] }),
      fc.record({ services: names, paths }, { requiredKeys: ['paths'] }),
    );
    const paths1 = fc.constantFrom('/v1/x', '/v1//x', '/secret/x', '/SECRET/x', '/v1/%2e/x', '/');
    const hosts = fc.constantFrom('a.test', 'b.test', 'c.test');
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 4 }),
        hosts,
        fc.constantFrom('GET', 'POST', 'DELETE'),
        paths1,
        (scope, host, method, path) => {
          const free = told(decide(ask(OF, `${host}:443`, head(method, path))));
          const bound = outcome(scope, host, method, path);
          expect(bound === free || ['scope_denied', 'path_ambiguous'].includes(bound)).toBe(true);
          if (!free.startsWith('permit')) expect(bound).toBe(free);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('holds where the permit is made again from its names', () => {
    const names = { authority: ask(OF, 'a.test:443', null).authority, service: 'a', binding: null, rule: 'p/1' };
    expect(permitAgain(OF, scoped([{ services: ['a'] }]).workload, names)).not.toBeNull();
    expect(permitAgain(OF, scoped([{ services: ['b'] }]).workload, names)).toBeNull();
  });

  it('can only name what the policy gives the workload something of', () => {
    expect(['a', 'b', 'c', 'gone'].map((name) => isWithinReach(OF, 'agent', name))).toEqual([true, true, false, false]);
    const bound = revision({ services, bindings: [binding(['c'])] });
    expect(['a', 'c'].map((name) => isWithinReach(bound, 'agent', name))).toEqual([false, true]);
  });
});

describe('the spelling of a scope', () => {
  it('comes back as it was written', () => {
    const text = [{ services: ['a', 'team/b'] }, { methods: ['GET'], paths: ['/v1/**', '/v1/*/x'] }];
    expect(scopeText(parseScope(text))).toEqual(text);
  });

  it.each<[unknown, RegExp]>([
    [{}, /^scope: is no list; write a list of rules like/],
    [[], /^scope: is empty, .*; leave it out/],
    [[{}], /^scope\[0\]: has no condition; name services/],
    [[null], /^scope\[0\]: is no object/],
    [
      [{ services: ['a'] }, { service: ['a'] }],
      /^scope\[1\]: has the unknown key "service"; known are services, methods, paths/,
    ],
    [[{ services: 'a' }], /^scope\[0\]\.services: is no list of 1 to 64 texts/],
    [[{ services: [] }], /^scope\[0\]\.services: is no list/],
    [[{ services: [1] }], /^scope\[0\]\.services: has what is no text/],
    [[{ methods: ['get'] }], /^scope\[0\]\.methods: has "get"; methods have capital letters/],
    [[{ paths: ['v1'] }], /^scope\[0\]\.paths: "v1" does not begin with "\/"/],
    [[{ paths: ['/a/**/b'] }], /"\*\*" before its end/],
    [Array.from({ length: 33 }, () => ({ services: ['a'] })), /more than 32 rules/],
  ])('%j is refused', (value, message) => {
    let detail: string | null = null;
    try {
      parseScope(value);
    } catch (thrown) {
      detail = (thrown as { detail: string }).detail;
    }
    expect(detail).toMatch(message);
  });
});
