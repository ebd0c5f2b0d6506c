import { describe, expect, it } from 'vitest';
import { type ClaimRules, claimAt, claimFault, matchesGlob } from '../../../../src/sandbox/vault/jwt-claims.ts';

const NOW = 1_800_000_000_000;
const seconds = NOW / 1_000;
const rules: ClaimRules = {
  boundIssuer: 'https://issuer.test',
  boundSubject: 'spiffe://example.test/ai-agent',
  boundAudiences: ['vault'],
  boundClaims: new Map(),
  boundClaimsType: 'string',
  clockSkewMs: 0,
  expirationLeewayMs: 0,
  notBeforeLeewayMs: 0,
};
const good = {
  iss: 'https://issuer.test',
  sub: 'spiffe://example.test/ai-agent',
  aud: ['vault'],
  iat: seconds,
  exp: seconds + 60,
};
const fault = (claims: object, change: Partial<ClaimRules> = {}): string | null =>
  claimFault(new Map(Object.entries({ ...good, ...claims })), { ...rules, ...change }, NOW);

describe('the claims of a login', () => {
  it('are accepted where all that is bound agrees', () => {
    expect(fault({})).toBeNull();
    expect(fault({ aud: 'vault' })).toBeNull();
  });

  it.each([
    [{ iss: 'https://other.test' }, 'invalid issuer (iss) claim'],
    [{ sub: 'spiffe://example.test/other' }, 'invalid subject (sub) claim'],
    [{ aud: ['other'] }, 'invalid audience (aud) claim'],
    [{ aud: undefined }, 'invalid audience (aud) claim'],
    [{ exp: seconds - 61 }, 'token is expired'],
    [{ nbf: seconds + 61 }, 'token not yet valid'],
    [{ nbf: seconds, iat: seconds + 61 }, 'token issued in the future'],
    [{ exp: undefined, iat: undefined }, 'no issued at (iat), not before (nbf), or expiration time (exp) claims'],
  ])('%j are refused', (claims, text) => {
    expect(fault(claims)).toContain(text);
  });

  it('may be a minute off, and exactly on time where the leeway is switched off', () => {
    expect(fault({ exp: seconds - 59 })).toBeNull();
    expect(fault({ exp: seconds - 1 }, { clockSkewMs: -1_000 })).toContain('token is expired');
  });

  it('have 150 seconds from their issue where they name no end', () => {
    expect(fault({ exp: undefined, iat: seconds - 200 })).toBeNull();
    expect(fault({ exp: undefined, iat: seconds - 211 })).toContain('token is expired');
  });

  it('with an audience need a role that is bound to one', () => {
    expect(fault({}, { boundAudiences: [] })).toBe('audience claim found in JWT but no audiences bound to the role');
  });

  it('are compared with each bound claim, in lists and below pointers', () => {
    const boundClaims = new Map<string, unknown>([
      ['groups', ['a', 'b']],
      ['/k8s/ns', 'team'],
    ]);
    expect(fault({ groups: ['b'], k8s: { ns: 'team' } }, { boundClaims })).toBeNull();
    expect(fault({ groups: ['c'], k8s: { ns: 'team' } }, { boundClaims })).toContain('"groups" does not match');
    expect(fault({ groups: 'a' }, { boundClaims })).toContain('claim "/k8s/ns" is missing');
  });

  it('are not looked up in prototypes', () => {
    expect(claimAt(new Map(), '/constructor/name')).toBeUndefined();
    expect(claimAt(new Map(), 'constructor')).toBeUndefined();
  });
});

describe('a glob', () => {
  it.each([
    ['a*', 'abc', true],
    ['*c', 'abc', true],
    ['a*b*c', 'a-b-c', true],
    ['a*a', 'a', false],
    ['a*b*b', 'ab', false],
    ['abc', 'abc', true],
    ['abc', 'abcd', false],
    ['*', '', true],
  ])('%s on %s: %s', (pattern, text, expected) => {
    expect(matchesGlob(pattern, text)).toBe(expected);
  });
});
