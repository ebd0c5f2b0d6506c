import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/policy/decide.ts';
import { explain } from '../../../src/policy/explain.ts';
import { ask, binding, head, policy, type RuleText, revision, service, signed } from './question.ts';

describe('explain', () => {
  const services = [
    service('openai', ['api.openai.com:443'], 'openai'),
    service('aws', ['sts.amazonaws.com:443'], 'aws'),
  ];
  const rules = revision({
    services,
    bindings: [binding(['openai'])],
    policies: [
      policy('p', [
        { services: ['aws'], calls: ['sts:GetCallerIdentity'] },
        { services: ['openai'], methods: ['GET'] },
        { services: ['openai'], paths: ['/v1/files/**'], action: 'deny' },
        { services: ['openai'] },
        { services: ['openai'], methods: ['POST'] },
      ]),
    ],
  });

  it('says of each rule whether and why it matched', () => {
    expect(explain(ask(rules, 'api.openai.com', head('POST', '/v1/responses')))).toEqual({
      workload: 'agent',
      destination: 'api.openai.com:443',
      service: 'openai',
      foundBy: 'host',
      decidedBy: 'policies',
      call: null,
      binding: 'to-openai',
      rules: [
        { rule: 'p/0', action: 'allow', isMatch: false, why: 'other service' },
        { rule: 'p/1', action: 'allow', isMatch: false, why: 'other method' },
        { rule: 'p/2', action: 'deny', isMatch: false, why: 'other path' },
        { rule: 'p/3', action: 'allow', isMatch: true, why: 'matched' },
        { rule: 'p/4', action: 'allow', isMatch: false, why: 'not reached' },
      ],
      outcome: { kind: 'permit', rule: 'p/3', revision: 'abcdef012345' },
    });
  });

  it('says what could not be told', () => {
    const { rules: traced, outcome } = explain(ask(rules, 'api.openai.com', head('POST', '/v1/../x')));
    expect(traced[2]).toEqual({ rule: 'p/2', action: 'deny', isMatch: false, why: 'the path has a dot segment' });
    expect(outcome).toMatchObject({ reason: 'path_ambiguous' });
  });

  it('names the AWS call', () => {
    const request = head('GET', '/?Action=GetCallerIdentity', { headers: signed('sts') ?? [] });
    expect(explain(ask(rules, 'sts.amazonaws.com', request))).toMatchObject({
      call: 'sts:GetCallerIdentity',
      outcome: { rule: 'p/0' },
    });
  });

  it('knows nothing of an unknown destination', () => {
    expect(explain(ask(rules, 'evil.test', head('GET', '/')))).toMatchObject({
      service: null,
      foundBy: null,
      outcome: { reason: 'destination_unknown' },
    });
  });
});

const HOSTS = ['api.openai.com', 'sts.amazonaws.com', 'a.plain.test', 'evil.test'];
const PATHS = [
  '/',
  '/v1/models',
  '/v1/files/a',
  '/v1/files/a%2Fb',
  '/v1//x',
  '/v1/realtime/sessions',
  '/?Action=AssumeRole',
  '/?Action=GetCallerIdentity',
];
const METHODS = ['GET', 'POST', 'DELETE', 'TRACE'];

const some = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined });
const anyRule: fc.Arbitrary<RuleText> = fc
  .record({
    services: some(['openai', 'aws', 'plain']),
    methods: some(METHODS),
    paths: some(['/v1/models', '/v1/files/*', '/v1/**', '/**', '/v1/realtime/sessions']),
    calls: fc.option(fc.constantFrom(['sts:AssumeRole'], ['sts:*'], ['s3:GetObject']), { nil: undefined }),
    action: fc.constantFrom('allow' as const, 'deny' as const, 'requireApproval' as const),
    mints: fc.boolean(),
  })
  .map((rule) => Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined)) as RuleText);

const anyQuestion = fc
  .record({
    policies: fc.array(fc.array(anyRule, { maxLength: 5 }), { maxLength: 3 }),
    bound: fc.subarray(['openai', 'aws', 'plain']),
    host: fc.constantFrom(...HOSTS),
    method: fc.constantFrom(...METHODS),
    target: fc.constantFrom(...PATHS),
    scheme: fc.constantFrom('http' as const, 'https' as const),
    isForAuthority: fc.boolean(),
  })
  .map(({ policies, bound, host, method, target, scheme, isForAuthority }) => {
    const of = revision({
      services: [
        service('openai', ['api.openai.com:443'], 'openai'),
        service('aws', ['sts.amazonaws.com:443'], 'aws'),
        service('plain', ['*.plain.test:443']),
      ],
      bindings: bound.map((name) => binding([name])),
      policies: policies.map((rules, i) => policy(`p${i}`, rules)),
    });
    return ask(of, host, isForAuthority ? null : head(method, target), { scheme });
  });

describe('for any policy and request', () => {
  it('the outcome of explain is that of decide', () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        const decided = decide(question);
        const { outcome, binding: bound } = explain(question);
        const facts = decided.kind === 'permit' ? decided.facts : null;
        expect(outcome).toEqual(
          facts === null ? decided : { kind: 'permit', rule: facts.rule, revision: facts.revision },
        );
        expect(bound).toBe(facts?.binding?.name ?? null);
      }),
      { numRuns: 1_500 },
    );
  });

  it('a permit is that of the first rule that matches, and it allows', () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        const { outcome, rules, decidedBy } = explain(question);
        if (outcome.kind !== 'permit' || decidedBy !== 'policies' || question.head === null) return;
        const first = rules.find(({ isMatch }) => isMatch);
        expect(first).toMatchObject({ rule: outcome.rule, action: 'allow' });
      }),
      { numRuns: 1_500 },
    );
  });

  it('where the tunnel is refused, every request would be', () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        if (question.head === null || decide({ ...question, head: null }).kind === 'permit') return;
        expect(decide(question).kind).toBe('denial');
      }),
      { numRuns: 1_500 },
    );
  });

  it('no destination that no Service names gets a permit', () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        if (question.authority.host !== 'evil.test') return;
        expect(decide(question)).toMatchObject({ reason: 'destination_unknown' });
      }),
      { numRuns: 500 },
    );
  });

  it('the same question gets the same answer', () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        expect(decide(question)).toEqual(decide(question));
      }),
      { numRuns: 200 },
    );
  });
});
