import { describe, expect, it } from 'vitest';
import { parseAuthority } from '../../../src/core/authority.ts';
import { bodyNeeded, decide } from '../../../src/policy/decide.ts';
import { Permit } from '../../../src/policy/permit.ts';
import { ask, binding, head, policy, revision, service, told, workload } from './question.ts';

const openai = service('openai', ['api.openai.com:443'], 'openai');
const plain = service('plain', ['plain.test:443', 'plain.test:80']);

function tell(...args: Parameters<typeof ask>): string {
  return told(decide(ask(...args)));
}

describe('destination', () => {
  const services = [
    service('exact', ['a.example.com:443']),
    service('near', ['*.b.example.com:443']),
    service('far', ['*.example.com:443']),
    service('wide', ['10.0.0.0/8:443']),
    service('narrow', ['10.1.0.0/16:443']),
    service('address', ['10.1.2.3:443']),
  ];
  const all = revision({ services, policies: [policy('p', [{}])] });
  const found = (destination: string): string => {
    const outcome = decide(ask(all, destination, head('GET', '/')));
    return outcome.kind === 'permit' ? outcome.facts.service.name : outcome.reason;
  };

  it.each([
    ['a.example.com', 'exact'],
    ['x.b.example.com', 'near'],
    ['y.x.b.example.com', 'near'],
    ['b.example.com', 'far'],
    ['10.1.2.3', 'address'],
    ['10.1.9.9', 'narrow'],
    ['10.2.0.1', 'wide'],
    ['example.com', 'destination_unknown'],
    ['a.example.com:8443', 'destination_unknown'],
    ['aexample.com', 'destination_unknown'],
    ['a.example.com.evil.test', 'destination_unknown'],
    ['11.0.0.1', 'destination_unknown'],
    ['[::ffff:10.1.2.3]', 'destination_unknown'],
  ])('%s belongs to %s', (destination, expected) => {
    expect(found(destination)).toBe(expected);
  });

  it('a name never falls under a network', () => {
    expect(
      tell(
        revision({ services: [service('wide', ['0.0.0.0/0:443'])], policies: [policy('p', [{}])] }),
        'x.test',
        head('GET', '/'),
      ),
    ).toBe('destination_unknown');
  });

  it('of two Services with one address the workload gets the one that it has to do with, and nothing where that is both', () => {
    const twins = [service('one', ['x.test:443']), service('two', ['x.test:443'])];
    const own = revision({ services: twins, bindings: [binding(['two'])], policies: [policy('p', [{}])] });
    const outcome = decide(ask(own, 'x.test', head('GET', '/')));
    expect(outcome.kind === 'permit' && outcome.facts.service.name).toBe('two');
    const both = revision({ services: twins, bindings: [binding(['two']), binding(['one'])] });
    expect(tell(both, 'x.test', head('GET', '/'))).toBe('destination_unknown');
  });
});

describe('rules', () => {
  const rules = revision({
    services: [openai, plain],
    bindings: [binding(['openai'])],
    policies: [
      policy('first', [
        { services: ['openai'], methods: ['POST'], paths: ['/v1/chat/completions', '/v1/responses'] },
        { services: ['openai'], methods: ['DELETE'], paths: ['/v1/files/**'], action: 'requireApproval' },
        { services: ['openai'], paths: ['/v1/files/secret/**'], action: 'deny' },
        { services: ['openai'], methods: ['GET'], paths: ['/v1/files/*'] },
      ]),
      policy('other', [{ services: ['openai'] }], { workloads: ['stranger'] }),
      policy('second', [{ services: ['openai'], methods: ['GET'], paths: ['/v1/models'] }, { services: ['plain'] }]),
    ],
  });

  it.each([
    ['POST', '/v1/chat/completions', 'permit first/0'],
    ['POST', '/v1/chat/completions?x=/v1/files/secret', 'permit first/0'],
    ['GET', '/v1/models', 'permit second/0'],
    ['GET', '/v1/files/abc', 'permit first/3'],
    ['DELETE', '/v1/files/abc', 'approval_required'],
    ['DELETE', '/v1/files', 'approval_required'],
    ['DELETE', '/v1/files/a/b', 'approval_required'],
    ['GET', '/v1/files/secret/1', 'rule_denied'],
    ['GET', '/v1/files/SECRET', 'rule_denied'],
    ['get', '/v1/files/secret/', 'rule_denied'],
    ['GET', '/v1/files/s%65cret', 'rule_denied'],
    ['GET', '/v1/files/secret.json', 'rule_denied'],
    ['GET', '/v1/files%2Fsecret', 'rule_denied'],
    ['GET', '/v1/files/', 'rule_missing'],
    ['GET', '/v1/files/a/b', 'rule_missing'],
    ['post', '/v1/chat/completions', 'rule_missing'],
    ['POST', '/v1/Chat/completions', 'rule_missing'],
    ['POST', '/v1/chat/completions/', 'rule_missing'],
    ['POST', '/v1/ch%61t/completions', 'rule_missing'],
    ['PUT', '/v1/chat/completions', 'rule_missing'],
    ['GET', '/v1/files/a%2Fb', 'path_ambiguous'],
    ['TRACE', '/v1/models', 'rule_missing'],
    ['CONNECT', '/v1/models', 'rule_missing'],
  ])('%s %s is %s', (method, target, expected) => {
    expect(tell(rules, 'api.openai.com', head(method, target))).toBe(expected);
  });

  it('names the rule and the revision in a denial', () => {
    expect(decide(ask(rules, 'api.openai.com', head('GET', '/v1/files/secret/1')))).toMatchObject({
      rule: 'first/2',
      revision: 'abcdef012345',
    });
  });

  it('a policy that names another workload says nothing', () => {
    expect(tell(rules, 'api.openai.com', head('GET', '/v1/models'), { workload: workload('nobody') })).toBe(
      'workload_unbound',
    );
    expect(tell(rules, 'api.openai.com', head('GET', '/v1/x'), { workload: workload('stranger') })).toBe(
      'permit other/0',
    );
  });

  it('allows a destination without a binding, with nothing to inject', () => {
    const outcome = decide(ask(rules, 'plain.test', head('GET', '/')));
    expect(outcome instanceof Permit && outcome.facts.binding).toBe(null);
    expect(tell(rules, 'plain.test:80', head('GET', '/'), { scheme: 'http' })).toBe('permit second/1');
  });

  it('a binding demands https', () => {
    const bound = revision({ services: [plain], bindings: [binding(['plain'])], policies: [policy('p', [{}])] });
    expect(tell(bound, 'plain.test:80', head('GET', '/'), { scheme: 'http' })).toBe('insecure_scheme');
  });

  it.each([
    ['X-HTTP-Method-Override', 'call_ambiguous'],
    ['X-HTTP-Method', 'call_ambiguous'],
    ['X-Method-Override', 'call_ambiguous'],
    ['X-Original-URL', 'path_ambiguous'],
    ['X-Original-URI', 'path_ambiguous'],
    ['X-Original-Host', 'path_ambiguous'],
    ['X-Host', 'path_ambiguous'],
    ['X-Original-Method', 'call_ambiguous'],
    ['X-Rewrite-URL', 'path_ambiguous'],
  ])('a request with %s is %s', (name, expected) => {
    expect(tell(rules, 'plain.test', head('GET', '/', { headers: [[name, 'DELETE']] }))).toBe(expected);
  });

  it.each(['TRACE', 'trace', 'TRACK', 'CONNECT'])(
    '%s is never allowed, not by a rule for everything either',
    (method) => {
      expect(tell(rules, 'plain.test', head(method, '/'))).toBe('rule_missing');
      expect(tell(rules, 'plain.test', head('GET', '', { form: 'authority' }))).toBe('rule_missing');
    },
  );

  it('an odd path passes where no rule looks at paths', () => {
    for (const path of ['/a//b', '/a/../b', '/a;b', '/%2e%2e/x', '/a%5cb']) {
      expect(tell(rules, 'plain.test', head('GET', path))).toBe('permit second/1');
    }
  });

  it('limits and mask are those of the policy that held the rule', () => {
    const limits = { requests: { count: 1, perMs: 1000 }, concurrent: 3 };
    const mask = [{ jsonFields: ['token'] }];
    const two = revision({
      services: [plain],
      policies: [policy('a', [{ methods: ['POST'] }]), policy('b', [{ methods: ['GET'] }], { limits, mask })],
    });
    const get = decide(ask(two, 'plain.test', head('GET', '/')));
    const post = decide(ask(two, 'plain.test', head('POST', '/')));
    expect(get.kind === 'permit' && [get.facts.limits, get.facts.mask]).toEqual([limits, mask]);
    expect(post.kind === 'permit' && post.facts.limits).toEqual({ requests: null, concurrent: null });
  });
});

describe('without a policy for the workload', () => {
  const bound = revision({
    services: [openai, plain, service('aws', ['s3.us-east-1.amazonaws.com:443'], 'aws')],
    bindings: [binding(['openai', 'plain', 'aws'])],
  });

  it.each([
    ['api.openai.com', 'POST', '/v1/chat/completions', 'permit binding:to-openai-plain-aws'],
    ['api.openai.com', 'GET', '/v1/models/gpt-5', 'permit binding:to-openai-plain-aws'],
    ['api.openai.com', 'POST', '/v1/files', 'rule_missing'],
    ['api.openai.com', 'DELETE', '/v1/models/ft', 'rule_missing'],
    ['api.openai.com', 'POST', '/v1/chat/../files', 'path_ambiguous'],
    ['plain.test', 'GET', '/a//b', 'permit binding:to-openai-plain-aws'],
    ['plain.test', 'HEAD', '/', 'permit binding:to-openai-plain-aws'],
    ['plain.test', 'POST', '/', 'rule_missing'],
    ['s3.us-east-1.amazonaws.com', 'GET', '/b/k', 'rule_missing'],
  ])('%s %s %s is %s', (destination, method, target, expected) => {
    expect(tell(bound, destination, head(method, target))).toBe(expected);
  });

  it('a workload without a binding may nothing', () => {
    expect(tell(bound, 'api.openai.com', head('GET', '/v1/models'), { workload: workload('nobody') })).toBe(
      'workload_unbound',
    );
  });

  it('a policy alone decides as soon as one names the workload', () => {
    const both = revision({ ...bound, policies: [policy('p', [{ services: ['plain'] }])] });
    expect(tell(both, 'api.openai.com', head('POST', '/v1/chat/completions'))).toBe('rule_missing');
  });
});

describe('bindings', () => {
  const paths = (...texts: string[]) => ({
    methods: null,
    paths: texts.map((text) => ({ text, segments: text.slice(1).split('/'), rest: false })),
  });
  const told_apart = revision({
    services: [plain],
    policies: [policy('p', [{}])],
    bindings: [
      binding(['plain'], { name: 'a', match: paths('/a') }),
      binding(['plain'], { name: 'b', match: paths('/b') }),
    ],
  });
  const chosen = (of: typeof told_apart, path: string): string | null | undefined => {
    const outcome = decide(ask(of, 'plain.test', head('GET', path)));
    return outcome.kind === 'permit' ? outcome.facts.binding?.name : outcome.reason;
  };

  it('are told apart by path', () => {
    expect([chosen(told_apart, '/a'), chosen(told_apart, '/b')]).toEqual(['a', 'b']);
  });

  it('that do not fit leave the request without a credential, so it is refused', () => {
    expect(chosen(told_apart, '/c')).toBe('workload_unbound');
    expect(chosen(told_apart, '/x/../a')).toBe('path_ambiguous');
  });

  it('two that fit are never chosen between', () => {
    expect(chosen(revision({ ...told_apart, bindings: [binding(['plain']), binding(['plain'])] }), '/a')).toBe(
      'workload_unbound',
    );
  });

  it('an AWS signature for a Service without the aws preset is refused', () => {
    const sigv4 = binding(['plain'], { injection: { kind: 'sigv4', services: ['sts'], regions: ['us-east-1'] } });
    expect(chosen(revision({ ...told_apart, bindings: [sigv4] }), '/a')).toBe('call_ambiguous');
  });
});

describe('the authority alone', () => {
  const of = (rules: Parameters<typeof policy>[1]) =>
    revision({ services: [openai], bindings: [binding(['openai'])], policies: [policy('p', rules)] });

  it('permits a tunnel where a rule could allow something, without any binding', () => {
    const outcome = decide(ask(of([{ methods: ['PUT'], paths: ['/x'] }]), 'api.openai.com', null));
    expect(outcome.kind === 'permit' && outcome.facts.binding).toBe(null);
    expect(tell(of([{ action: 'requireApproval' }]), 'api.openai.com', null)).toBe('permit p/0');
  });

  it.each([
    ['only deny rules', [{ action: 'deny' as const, paths: ['/x'] }], 'rule_missing'],
    ['a general deny before the first allow', [{ action: 'deny' as const }, {}], 'rule_denied'],
    ['no rule for the service', [{ services: ['other'] }], 'rule_missing'],
  ])('is refused with %s', (_, rules, expected) => {
    expect(tell(of(rules), 'api.openai.com', null)).toBe(expected);
  });

  it('is refused for a stranger and for an unknown host', () => {
    expect(tell(of([{}]), 'evil.test', null)).toBe('destination_unknown');
    expect(tell(of([{}]), 'api.openai.com', null, { workload: workload('nobody') })).toBe('workload_unbound');
  });

  it('opens for a bound workload without a policy only where the preset has safe calls', () => {
    const services = [openai, service('aws', ['sts.amazonaws.com:443'], 'aws')];
    const bound = revision({ services, bindings: [binding(['openai', 'aws'])] });
    expect(tell(bound, 'api.openai.com', null)).toBe('permit binding:to-openai-aws');
    expect(tell(bound, 'sts.amazonaws.com', null)).toBe('rule_missing');
  });
});

describe('bodyNeeded', () => {
  const hosts = ['sts.amazonaws.com:443', 's3.us-east-1.amazonaws.com:443', 'minio.test:443'];
  const aws = revision({ services: [service('aws', hosts, 'aws'), openai] });
  const form = [['Content-Type', 'Application/X-WWW-Form-Urlencoded; charset=utf-8']] as const;

  it.each([
    ['sts.amazonaws.com', 'POST', form, true],
    ['minio.test', 'POST', form, true],
    ['sts.amazonaws.com', 'GET', form, false],
    ['sts.amazonaws.com', 'POST', [['Content-Type', 'application/json']] as const, false],
    ['s3.us-east-1.amazonaws.com', 'POST', form, false],
    ['api.openai.com', 'POST', form, false],
    ['evil.test', 'POST', form, false],
  ])('%s %s with %j: %s', (host, method, headers, expected) => {
    expect(bodyNeeded(aws, parseAuthority(host, 443), head(method, '/', { headers }))).toBe(expected);
  });
});
