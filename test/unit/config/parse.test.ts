import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../../../src/config/parse.ts';
import { REQUEST_LIMITS } from '../../../src/http1/message-parser.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import {
  AWS,
  binding,
  identity,
  load,
  PLAIN,
  policy,
  proxy,
  refusals,
  service,
  source,
  WALK_THROUGH,
  warnings,
  world,
} from './policy-text.ts';

describe('the four documents of the walk-through', () => {
  it('load as they are', () => {
    const { identities, sources, policy: revision, deliveries } = load(WALK_THROUGH);
    expect(identities).toEqual([
      {
        name: 'ai-agent',
        workload: 'ai-agent',
        selectors: [
          { key: 'process:name', values: ['python3'] },
          { key: 'unix:uid', values: ['1001'] },
        ],
      },
    ]);
    expect(sources).toEqual([
      {
        kind: 'vault',
        name: 'vault-openai-apikeys',
        address: 'http://localhost:8200',
        namespace: 'team-a',
        caFile: null,
        auth: { kind: 'jwt', mount: 'jwt', role: 'openai-apikeys', audience: ['vault'] },
        path: 'openai/creds/my-role',
        method: 'GET',
        parameters: {},
        fields: { key: 'api_key' },
      },
    ]);
    expect(revision.services).toEqual([
      {
        name: 'openai-api',
        addresses: [{ kind: 'host', host: 'api.openai.com', port: 443 }],
        preset: PRESETS.get('openai'),
      },
    ]);
    expect(revision.bindings).toEqual([
      {
        name: 'vault-openai-apikeys-binding',
        workload: 'ai-agent',
        source: 'vault-openai-apikeys',
        services: ['openai-api'],
        injection: null,
        match: null,
      },
    ]);
    expect(deliveries).toEqual([]);
  });

  it('say that an unnamed proxy does not check the scope', () => {
    expect(warnings(WALK_THROUGH)).toEqual([
      '13:25 spec.scope.agent.id: this proxy has no name, so the scope node-1 is not checked; give it one by a Proxy document with metadata.name',
    ]);
    expect(warnings(`${WALK_THROUGH}${proxy('{}')}`)).toEqual([]);
  });

  it('leave the identity out where the proxy is another one', () => {
    const text = `${WALK_THROUGH}${proxy('{}', 'node-2')}`;
    expect(load(text).identities).toEqual([]);
    expect(warnings(text)).toEqual([
      '13:25 spec.scope.agent.id: this proxy is node-2, so it does not grant ai-agent, which is for node-1 alone',
    ]);
  });

  it('load with sysfs, which means file, and without services then', () => {
    const text =
      WALK_THROUGH.replace('injection: {}', 'sysfs: {}').replace('  services: [openai-api]\n', '') + proxy('{}');
    const { policy: revision, deliveries } = load(text);
    expect(revision.bindings).toEqual([]);
    expect(deliveries).toEqual([
      {
        binding: 'vault-openai-apikeys-binding',
        workload: 'ai-agent',
        source: 'vault-openai-apikeys',
        services: [],
        way: 'file',
        path: null,
        format: 'json',
        owner: { uid: 1001 },
      },
    ]);
    expect(warnings(text)).toEqual(['3:19 metadata.name: no binding and no rule uses the Service openai-api']);
    expect(load(text.replace('name: node-1', 'name: node-2')).deliveries).toEqual([]);
  });
});

describe('what a policy becomes', () => {
  it('has rules, limits and masks', () => {
    const text =
      world() +
      policy(
        '{ services: [s], methods: [POST], paths: [/v1/responses, "/v1/*/x", /v1/files/**, /, /**], action: allow }, { action: requireApproval }',
        ', limits: { requests: 600/min, concurrent: 32 }, responses: { mask: [{ jsonFields: [token] }] }',
      );
    const [compiled] = load(text).policy.policies;
    expect(compiled?.limits).toEqual({ requests: { count: 600, perMs: 60_000 }, concurrent: 32 });
    expect(compiled?.mask).toEqual([{ jsonFields: ['token'] }]);
    expect(compiled?.rules[0]).toEqual({
      id: 'p/0',
      services: ['s'],
      methods: ['POST'],
      paths: [
        { text: '/v1/responses', segments: ['v1', 'responses'], rest: false },
        { text: '/v1/*/x', segments: ['v1', '*', 'x'], rest: false },
        { text: '/v1/files/**', segments: ['v1', 'files'], rest: true },
        { text: '/', segments: [], rest: false },
        { text: '/**', segments: [], rest: true },
      ],
      calls: null,
      action: 'allow',
      mintsCredentials: false,
    });
    expect(compiled?.rules[1]).toMatchObject({
      id: 'p/1',
      services: null,
      methods: null,
      paths: null,
      action: 'requireApproval',
    });
  });

  it('lists the rules that mint', () => {
    const minting = '{ services: [s], calls: ["sts:AssumeRole"], action: allow, mintsCredentials: true }';
    expect(load(world(AWS) + policy(`{ action: deny, methods: [PUT] }, ${minting}`)).mintingRules).toEqual(['p/1']);
  });

  it('has every kind of address', () => {
    const text = service(
      '{ addresses: [{ address: "*.a.test", port: 8443 }, { address: 10.1.0.0/16 }, { address: "2001:db8::1" }] }',
    );
    expect(load(text).policy.services[0]?.addresses).toEqual([
      { kind: 'wildcard', suffix: '.a.test', port: 8443 },
      { kind: 'cidr', network: Uint8Array.of(10, 1, 0, 0), prefix: 16, port: 443 },
      { kind: 'host', host: '2001:db8::1', port: 443 },
    ]);
  });

  it.each([
    ['{ bearer: {} }', { kind: 'bearer' }],
    ['{ header: { name: X-Key } }', { kind: 'header', name: 'X-Key', format: '{}' }],
    [
      '{ header: { name: Authorization, format: "Token {}" } }',
      { kind: 'header', name: 'Authorization', format: 'Token {}' },
    ],
    ['{ basic: {} }', { kind: 'basic', username: null }],
    ['{ basic: { username: api } }', { kind: 'basic', username: 'api' }],
  ])('injects by %s', (written, expected) => {
    const [compiled] = load(world(PLAIN) + binding(`services: [s], propagation: { injection: ${written} }`)).policy
      .bindings;
    expect(compiled?.injection).toEqual(expected);
  });

  it('signs for the services and regions of the binding', () => {
    const text =
      world(AWS) +
      binding(
        'services: [s], propagation: { injection: { sigv4: { services: [s3, sts], regions: [us-east-1, us-gov-west-1] } } }',
      );
    expect(load(text).policy.bindings[0]?.injection).toEqual({
      kind: 'sigv4',
      services: ['s3', 'sts'],
      regions: ['us-east-1', 'us-gov-west-1'],
    });
    const more = '{ sigv4: { services: [s3], regions: ["*"], presigned: true } }';
    const { bindings } = load(world(AWS) + binding(`services: [s], propagation: { injection: ${more} }`)).policy;
    expect(bindings[0]?.injection).toEqual({ kind: 'sigv4', services: ['s3'], regions: ['*'], presigned: true });
  });

  it('takes a wildcard with a credential where the zone is owned', () => {
    const owned =
      '{ addresses: [{ address: api.openai.com }, { address: "*.openai.com", ownedZone: true }], provider: openai }';
    expect(load(world(owned) + binding()).policy.bindings).toHaveLength(1);
  });

  it.each([
    ['methods', 'match: { methods: [GET] }', 'match: { methods: [POST] }'],
    ['paths', 'match: { paths: [/v1/files/**] }', 'match: { paths: [/v1/models, "/v2/*"] }'],
    [
      'paths of one of several methods',
      'match: { methods: [GET], paths: [/a] }',
      'match: { methods: [GET], paths: [/b] }',
    ],
  ])('tells two bindings apart by %s', (_, one, other) => {
    const text = world() + binding(`services: [s], ${one}`) + binding(`services: [s], ${other}`, 'b2');
    expect(load(text).policy.bindings).toHaveLength(2);
  });

  it('keeps namespaces apart', () => {
    const team = (text: string): string =>
      text.replaceAll(/metadata: \{ name: (\w+) \}/g, 'metadata: { name: $1, namespace: team }');
    const {
      identities,
      sources,
      policy: revision,
    } = load(world() + binding() + team(world() + binding() + policy('{ services: [s], action: allow }')));
    expect(identities.map(({ name, workload }) => [name, workload])).toEqual([
      ['w', 'w'],
      ['team/w', 'team/w'],
    ]);
    expect(sources.map(({ name }) => name)).toEqual(['c', 'team/c']);
    expect(revision.bindings.map((each) => [each.name, each.workload, each.source, each.services[0]])).toEqual([
      ['b', 'w', 'c', 's'],
      ['team/b', 'team/w', 'team/c', 'team/s'],
    ]);
    expect(revision.policies[0]).toMatchObject({
      name: 'team/p',
      workloads: ['team/w'],
      rules: [{ id: 'team/p/0', services: ['team/s'] }],
    });
  });

  it('takes templates and parameters for Vault', () => {
    const text = source(
      '{ vault: { address: "https://v", role: "{{workload.id}}", path: "aws/sts/{{ workload.instance }}", method: POST, parameters: { ttl: 1h }, auth: { jwt: { path: a/b } } } }',
    );
    expect(load(text).sources[0]).toMatchObject({
      auth: { mount: 'a/b', role: '{{workload.id}}', audience: ['vault'] },
      path: 'aws/sts/{{ workload.instance }}',
      method: 'POST',
      parameters: { ttl: '1h' },
    });
  });

  it('is frozen to its leaves', () => {
    const configuration = load(WALK_THROUGH);
    expect(Object.isFrozen(configuration)).toBe(true);
    expect(Object.isFrozen(configuration.policy.services[0]?.addresses[0])).toBe(true);
    expect(Object.isFrozen(configuration.proxy.limits)).toBe(true);
  });

  it('has a revision that follows the text and nothing else', () => {
    const revision = (name: string, text: string): string =>
      parseConfiguration([{ name, text }], { presets: PRESETS }).policy.id;
    expect(revision('a.yaml', WALK_THROUGH)).toMatch(/^[0-9a-f]{12}$/);
    expect(revision('a.yaml', WALK_THROUGH)).toBe(revision('/x/b.yaml', WALK_THROUGH));
    expect(revision('a.yaml', WALK_THROUGH)).not.toBe(revision('a.yaml', `${WALK_THROUGH}\n`));
  });
});

describe('the Proxy document', () => {
  it('may be left out', () => {
    const { proxy: settings } = load('');
    expect(settings).toMatchObject({
      name: 'countersign',
      mode: 'enforce',
      unmatched: 'deny',
      stateDirectory: '/state',
      sandbox: null,
      admin: { socket: '/state/admin.sock' },
      issuingCA: { directory: '/state/ca', bundleDirectory: '/state' },
      audit: { file: '/state/audit.jsonl' },
      listeners: { explicit: { address: '127.0.0.1', port: 10_080 } },
      limits: {
        headDeadlineMs: 10_000,
        maxConnections: 4_096,
        maxBufferedBodyBytes: 8_388_608,
        maxSignedChunkBytes: 1_048_576,
        requestHead: REQUEST_LIMITS,
      },
      upstream: { connectTimeoutMs: 5_000, allowedNetworks: [], maxResponseHeadBytes: 65_536 },
    });
  });

  it('has paths relative to its file, and units turned into numbers', () => {
    const text = proxy(
      '{ stateDirectory: state, issuingCA: { directory: ../certs, bundleDirectory: ../bundles }, audit: { file: "-" }, limits: { headDeadline: 500ms, maxBufferedBody: 1MiB }, sandbox: {}, upstream: { allowedNetworks: [10.0.0.0/8], resolve: [{ host: a.test, address: 10.0.0.7 }] } }',
    );
    const { proxy: settings } = parseConfiguration([{ name: '/etc/cs/p.yaml', text }], { presets: PRESETS });
    expect(settings).toMatchObject({
      stateDirectory: '/etc/cs/state',
      issuingCA: { directory: '/etc/certs', bundleDirectory: '/etc/bundles' },
      admin: { socket: '/etc/cs/state/admin.sock' },
      audit: { file: '-' },
      limits: { headDeadlineMs: 500, maxBufferedBodyBytes: 1_048_576 },
      sandbox: { vault: { port: 0 }, keyLifetimeMs: 3_600_000 },
      upstream: {
        allowedNetworks: [{ network: Uint8Array.of(10, 0, 0, 0), prefix: 8 }],
        resolve: [{ host: 'a.test', port: 443, address: '10.0.0.7', dialPort: 443 }],
      },
    });
  });
});

describe('the proxy of the network', () => {
  const of = (given: string): unknown => load(proxy(`{ upstream: { proxy: ${given} } }`)).proxy.upstream.proxy;
  const refusedBy = (given: string): string => refusals(proxy(`{ upstream: { proxy: ${given} } }`)).join();

  it('has an address, and perhaps a login and exceptions', () => {
    expect(load(proxy('{}')).proxy.upstream.proxy).toBeNull();
    expect(of('{ address: "http://proxy.corp.test" }')).toEqual({
      ...{ scheme: 'http', host: 'proxy.corp.test', port: null, caPem: null, login: null },
      except: { hosts: [], networks: [] },
    });
    const login = 'username: cs, password: { file: /run/p }';
    expect(of(`{ address: "https://10.0.0.9:8443", ${login}, except: ["*.corp.test", a.test, 10.0.0.0/8] }`)).toEqual({
      ...{ scheme: 'https', host: '10.0.0.9', port: 8443, caPem: null },
      login: { username: 'cs', password: { path: '/run/p', isGroupReadable: false } },
      except: { hosts: ['*.corp.test', 'a.test'], networks: [{ network: Uint8Array.of(10, 0, 0, 0), prefix: 8 }] },
    });
  });

  it.each([
    ['a path', '{ address: "http://p.test/x" }', /is not an origin without path/],
    ['a port that is none', '{ address: "http://p.test:70000" }', /70000 is no port/],
    ['a host that is none', '{ address: "http://-p.test" }', /is not a host/],
    ['a password alone', '{ address: "https://p.test", password: { file: p } }', /belong together/],
    ['a password in the policy', '{ address: "https://p.test", username: u, password: p }', /password/],
    ['roots without TLS', '{ address: "http://p.test", caFile: c.pem }', /has no certificate/],
    ['an exception with a star in it', '{ address: "http://p.test", except: ["a.*.test"] }', /where it means nothing/],
    ['a network that is none', '{ address: "http://p.test", except: [10.0.0.1/8] }', /except/],
  ])('is refused with %s', (_what, given, message) => expect(refusedBy(given)).toMatch(message));

  it('is warned of where its password would cross the network in clear', () => {
    const given = '{ address: "http://p.test", username: u, password: { file: p } }';
    expect(warnings(proxy(`{ upstream: { proxy: ${given} } }`)).join()).toMatch(/in clear/);
  });
});

describe('warnings', () => {
  it.each([
    [
      'a process name alone',
      world().replace('{ workloadID: w }', '{ workloadID: w, selectors: [{ process:name: [python3] }] }') + binding(),
      '10:24 spec.selectors: programs of any user of this host can match process:name; add unix:uid or cgroup:path, or remove the selectors and use instance tokens',
    ],
    ['an identity without a binding', identity(), '4:19 metadata.name: no binding gives w a credential'],
    [
      'a Service that nobody uses',
      world() + service(PLAIN, 't') + binding(),
      '19:19 metadata.name: no binding and no rule uses the Service t',
    ],
    [
      'a transit in clear on the network',
      proxy('{ issuer: { transit: { address: "http://v:8200", key: k, tokenFile: t } } }'),
      '5:39 spec.issuer.transit.address: the token of transit crosses the network in clear; use https',
    ],
    [
      'a Vault in clear on the network',
      world().replace('https://v', 'http://v') + binding(),
      '15:27 spec.vault.address: logins and credentials cross the network in clear; use https',
    ],
    [
      'a known host without its provider',
      world('{ addresses: [{ address: api.openai.com }] }') +
        binding('services: [s], propagation: { injection: { bearer: {} } }'),
      '5:32 spec.addresses[0].address: api.openai.com:443 belongs to openai; without "provider: openai" its calls that mint credentials are not recognised',
    ],
    [
      'a foreign host with a provider',
      world('{ addresses: [{ address: llm.example.test }], provider: openai }') + binding(),
      '5:32 spec.addresses[0].address: llm.example.test:443 is not known to belong to openai; make sure that it may see its keys',
    ],
  ])('tell of %s', (_, text, expected) => {
    expect(warnings(text)).toEqual([expected]);
  });

  it('are silent on a Service that a rule for all may use', () => {
    expect(warnings(world() + service(PLAIN, 't') + binding() + policy('{ action: allow }'))).toEqual([]);
  });
});
