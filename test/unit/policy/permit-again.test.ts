import { describe, expect, it } from 'vitest';
import { parseAuthority, parseHost } from '../../../src/core/authority.ts';
import { isKnownHost } from '../../../src/policy/decide.ts';
import type { PolicyRevision } from '../../../src/policy/options.ts';
import { permitAgain } from '../../../src/policy/permit-again.ts';
import { workload } from '../credential/permits.ts';

const rule = (id: string, action: 'allow' | 'deny') => ({
  id,
  services: null,
  methods: null,
  paths: null,
  calls: null,
  action,
  mintsCredentials: false,
});
const binding = (name: string, who: string) => ({
  name,
  workload: who,
  source: 'vault',
  services: ['api'],
  injection: null,
  match: null,
});
const revision: PolicyRevision = {
  id: 'r2',
  services: [
    { name: 'api', addresses: [{ kind: 'host', host: 'api.example.com', port: 8443 }], preset: null },
    { name: 'zone', addresses: [{ kind: 'wildcard', suffix: '.zone.example.com', port: 443 }], preset: null },
  ],
  policies: [
    {
      name: 'agents',
      workloads: ['agent'],
      rules: [rule('agents/0', 'deny'), rule('agents/1', 'allow')],
      limits: { requests: null, concurrent: 3 },
      mask: [{ jsonFields: ['secret'] }],
    },
  ],
  bindings: [binding('of-agent', 'agent'), binding('of-other', 'other'), binding('of-free', 'free')],
};
const authority = parseAuthority('api.example.com:8443');
const again = (who: string, service: string, of: string | null, by: string) =>
  permitAgain(revision, workload(who), { authority, service, binding: of, rule: by });

describe('a permit made again', () => {
  it('has limits, mask and binding of the revision', () => {
    expect(again('agent', 'api', 'of-agent', 'agents/1')?.facts).toMatchObject({
      limits: { concurrent: 3 },
      mask: [{ jsonFields: ['secret'] }],
      binding: { name: 'of-agent' },
      revision: 'r2',
    });
    expect(again('agent', 'api', null, 'agents/1')?.facts.binding).toBe(null);
    expect(again('free', 'api', 'of-free', 'binding:of-free')?.facts.limits).toEqual({
      requests: null,
      concurrent: null,
    });
  });

  it.each<[string, string, string, string | null, string]>([
    ['another workload’s binding', 'agent', 'api', 'of-other', 'agents/1'],
    ['a binding that is not there', 'agent', 'api', 'of-nobody', 'agents/1'],
    ['a binding at another service', 'agent', 'zone', 'of-agent', 'agents/1'],
    ['a service that is not there', 'agent', 'nowhere', null, 'agents/1'],
    ['a rule that denies', 'agent', 'api', 'of-agent', 'agents/0'],
    ['a rule that is not there', 'agent', 'api', 'of-agent', 'agents/7'],
    ['another workload’s policy', 'other', 'api', 'of-other', 'agents/1'],
    ['no rule, where a policy governs', 'agent', 'api', 'of-agent', 'binding:of-agent'],
  ])('is not made for %s', (_name, who, service, of, by) => {
    expect(again(who, service, of, by)).toBe(null);
  });
});

describe('a known host', () => {
  it.each([
    ['api.example.com', true],
    ['a.zone.example.com', true],
    ['zone.example.com', false],
    ['example.com', false],
    ['10.0.0.1', false],
  ])('%s: %s', (host, isKnown) => {
    expect(isKnownHost(revision, parseHost(host))).toBe(isKnown);
  });
});
