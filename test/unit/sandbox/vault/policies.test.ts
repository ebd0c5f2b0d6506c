import { describe, expect, it } from 'vitest';
import { capabilitiesOn, isAllowed, type PolicyRule, parsePolicy } from '../../../../src/sandbox/vault/policies.ts';

function rulesOf(text: string): readonly PolicyRule[] {
  const parsed = parsePolicy(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.rules;
}

describe('a policy', () => {
  it('is read from HCL with comments and trailing commas', () => {
    const rules = rulesOf(`
      # one
      path "openai/creds/*" { capabilities = ["read", "list",] } // two
      /* three */
      path "kv/x" { policy = "read" }
    `);
    expect(rules.map(({ pattern, capabilities }) => [pattern, [...capabilities]])).toEqual([
      ['openai/creds/*', ['read', 'list']],
      ['kv/x', ['read', 'list']],
    ]);
  });

  it('is read from JSON', () => {
    const rules = rulesOf('{"path": {"kv/*": {"capabilities": ["read"]}}}');
    expect(isAllowed(rules, 'kv/a', ['read'])).toBe(true);
  });

  it.each([
    ['path "x" { capabilities = ["fly"] }', 'invalid capability "fly"'],
    ['path "x" { allowed_parameters = ["a"] }', 'not supported by the sandbox'],
    ['path "x" { capabilities = ["read"]', 'unexpected end'],
    ['route "x" {}', 'unexpected "route"'],
    ['path "x" { capabilities = @ }', 'unexpected character'],
    ['{"path": ', 'malformed JSON'],
  ])('is refused where it is not understood: %s', (text, reason) => {
    expect(parsePolicy(text)).toEqual({ ok: false, error: expect.stringContaining(reason) });
  });

  it('allows nothing on a path that it does not name', () => {
    expect(isAllowed(rulesOf('path "kv/a" { capabilities = ["read"] }'), 'kv/ab', ['read'])).toBe(false);
  });

  it('lets deny win over every other capability of the same pattern', () => {
    const rules = rulesOf('path "a" { capabilities = ["read"] } path "a" { capabilities = ["deny"] }');
    expect(isAllowed(rules, 'a', ['read'])).toBe(false);
  });

  it('counts the most specific pattern alone', () => {
    const rules = rulesOf(`
      path "kv/*" { capabilities = ["read"] }
      path "kv/team/*" { capabilities = ["list"] }
      path "kv/team/secret" { capabilities = ["update"] }
      path "kv/+/shared" { capabilities = ["delete"] }
    `);
    expect([...capabilitiesOn(rules, 'kv/other')]).toEqual(['read']);
    expect([...capabilitiesOn(rules, 'kv/team/x')]).toEqual(['list']);
    expect([...capabilitiesOn(rules, 'kv/team/secret')]).toEqual(['update']);
    expect([...capabilitiesOn(rules, 'kv/ops/shared')]).toEqual(['delete']);
    expect([...capabilitiesOn(rules, 'kv/team/shared')]).toEqual(['list']);
  });
});
