import { describe, expect, it } from 'vitest';
import { presetDocument, presetYaml } from '../../../src/config/preset-document.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { binding, documentOf, identity, load, policy, service, source, warnings } from './policy-text.ts';
import { refused } from './refused.ts';

const ACME = `{ hosts: [api.acme.test], slots: [{ header: X-Acme-Key }, { query: key }], injection: { header: { name: X-Acme-Key } } }`;
const SERVICE = '{ addresses: [{ address: api.acme.test }], provider: acme }';
const preset = (spec = ACME, name = 'acme'): string => documentOf('Preset', name, spec);
const rest = identity() + source() + binding();

describe('a preset of one’s own', () => {
  it('is what the Service that names it has', () => {
    const { services } = load(preset() + service(SERVICE) + rest).policy;
    expect(services[0]?.preset).toEqual({
      name: 'acme',
      hosts: ['api.acme.test'],
      slots: [
        { in: 'header', name: 'x-acme-key', scheme: null },
        { in: 'query', name: 'key' },
      ],
      injection: { kind: 'header', name: 'X-Acme-Key', format: '{}' },
      minting: [],
      safe: [],
      expired: { statuses: [], codes: [] },
      streams: [],
    });
  });

  it('may stand behind the Service, and in a namespace of its own', () => {
    const inTeam = (text: string): string => text.replaceAll(/name: ([a-z]+) \}\n/g, 'name: $1, namespace: team }\n');
    const { services } = load(inTeam(service(SERVICE) + rest + preset())).policy;
    expect(services[0]?.preset?.name).toBe('team/acme');
  });

  it('lists each call of a group by itself', () => {
    const spec = `{ injection: { bearer: {} }, minting: [{ methods: [POST, PUT], paths: [/a, "/b/**"] }, { paths: [/c] }],
      safe: [{ methods: [GET, HEAD], paths: [/d, /e] }], streams: [{ methods: [POST], paths: [/f], as: events }] }`;
    const found = load(preset(spec) + service(SERVICE) + rest).policy.services[0]?.preset;
    expect(found?.minting.map(({ method, path }) => `${method ?? '*'} ${path ?? ''}`)).toEqual([
      'POST /a',
      'POST /b/**',
      'PUT /a',
      'PUT /b/**',
      '* /c',
    ]);
    expect(found?.safe.map(({ methods, path }) => `${methods.join()} ${path}`)).toEqual(['GET,HEAD /d', 'GET,HEAD /e']);
    expect(found?.streams).toEqual([{ method: 'POST', path: '/f', as: 'events' }]);
  });

  it('is warned of where nobody uses it, and where it lets through what the built-in one denies', () => {
    expect(
      warnings(
        preset() +
          service('{ addresses: [{ address: a.test }] }') +
          rest.replace('[s]', '[s], propagation: { injection: { bearer: {} } }'),
      ),
    ).toEqual(['4:19 metadata.name: no Service has the provider acme']);
    const mine = '{ hosts: [api.openai.com], injection: { bearer: {} } }';
    const at = '{ addresses: [{ address: api.openai.com }], provider: acme }';
    expect(warnings(preset(mine) + service(at) + rest)).toEqual([
      '10:32 spec.addresses[0].address: api.openai.com:443 belongs to openai, and acme lacks some of its calls that mint credentials',
    ]);
  });
});

describe('presets that are refused', () => {
  refused({
    'the name of a built-in one': [
      preset(ACME, 'openai') + service('{ addresses: [{ address: api.openai.com }], provider: openai }') + rest,
      '4:19 metadata.name: "openai" is the name of a built-in preset; choose another name, such as my-openai, and write it as the provider of the Service',
    ],
    'the word for no preset': [
      preset(ACME, 'none'),
      '4:19 metadata.name: "none" is the name of a built-in preset; choose another name, such as my-none, and write it as the provider of the Service',
    ],
    'one name twice': [
      preset() + preset(),
      '9:19 metadata.name: there is a second Preset "acme"; the first is at p.yaml:4; rename one',
    ],
    'a preset of another namespace': [
      preset().replace('name: acme', 'name: acme, namespace: team') + service(SERVICE),
      '10:60 spec.provider: there is no preset for the provider "acme"; known are anthropic, aws, azure-openai, cohere, gemini, github, gitlab, groq, huggingface, mistral, none, openai, openrouter, slack, stripe',
    ],
    'a name that is nearly right': [
      preset() + service(SERVICE.replace('acme }', 'acne }')),
      '10:60 spec.provider: there is no preset for the provider "acne"; did you mean "acme"?',
    ],
    'no way to inject': [
      preset('{ hosts: [a.test] }'),
      '5:7 spec.injection: "injection" is missing; a mapping with bearer, header, headers, basic, query, path, cookie, subprotocol, jsonField, formField, hmac, mtls, placeholder, sigv4',
    ],
    'an empty way to inject': [
      preset('{ injection: {} }'),
      '5:20 spec.injection: the preset does not say how to inject; write one of bearer, header, headers, basic, query, path, cookie, subprotocol, jsonField, formField, hmac, mtls, placeholder, sigv4, such as bearer: {} or header: {name, format}',
    ],
    'two ways to inject': [
      preset('{ injection: { bearer: {}, basic: {} } }'),
      '5:34 spec.injection.basic: basic stands beside bearer; a credential is injected in one way; keep one',
    ],
    'a slot in two places': [
      preset('{ injection: { bearer: {} }, slots: [{ header: x, query: y }] }'),
      '5:44 spec.slots[0]: a slot is one place; write { header }, { header, scheme }, { query } or { subprotocol }',
    ],
    'a scheme without a header': [
      preset('{ injection: { bearer: {} }, slots: [{ query: y, scheme: Bearer }] }'),
      '5:64 spec.slots[0].scheme: a scheme belongs to a header; remove it',
    ],
    'a path that cannot be matched': [
      preset('{ injection: { bearer: {} }, minting: [{ paths: [a] }] }'),
      '5:56 spec.minting[0].paths[0]: the path pattern "a" does not begin with "/"; write the path from its root, /v1/models',
    ],
    'calls of a provider that has none': [
      preset('{ injection: { bearer: {} }, minting: [{ calls: ["sts:AssumeRole"] }] }'),
      '5:55 spec.minting[0].calls: calls are read from requests to AWS alone; write paths, or injection: { sigv4: {} }',
    ],
    'neither paths nor calls': [
      preset('{ injection: { bearer: {} }, minting: [{ methods: [POST] }] }'),
      '5:46 spec.minting[0]: a call that mints is told by paths or by calls; write { methods, paths } or, for AWS, { calls }',
    ],
    'services of AWS': [
      preset('{ injection: { sigv4: { services: [s3], regions: [us-east-1] } } }'),
      '5:31 spec.injection.sigv4.services: unknown key "services"; write {}',
      '5:47 spec.injection.sigv4.regions: unknown key "regions"; write {}',
    ],
    'an unknown key': [
      preset('{ injection: { bearer: {} }, host: [a.test] }'),
      '5:36 spec.host: unknown key "host"; did you mean "hosts"?',
    ],
    'a host with a port': [
      preset('{ injection: { bearer: {} }, hosts: ["a.test:443"] }'),
      '5:44 spec.hosts[0]: the text "a.test:443" is not a host name, or "*.name"; for example api.example.com',
    ],
  });
});

describe('what is built in, printed and read again', () => {
  it.each([...PRESETS.values()])('$name is the same preset', (builtIn) => {
    const text = presetYaml(presetDocument(builtIn, 'mine'));
    const uses = service('{ addresses: [{ address: a.test }], provider: mine }') + identity();
    const read = load(`${text}${uses}`).policy.services[0]?.preset;
    expect(read).toEqual({ ...builtIn, name: 'mine' });
  });
});

describe('what goes on as a stream', () => {
  it('opens a WebSocket only under a rule that says so, and a rule that does not is warned of', () => {
    const world = service('{ addresses: [{ address: api.openai.com }], provider: openai }') + rest;
    const of = (more: string): string[] =>
      warnings(world + policy(`{ services: [s], paths: [/v1/responses, /v1/realtime], action: allow${more} }`));
    expect(of('')).toEqual([
      '25:73 spec.rules[0].paths[1]: /v1/realtime opens a WebSocket, which this rule does not let through; write "upgrade: websocket"',
    ]);
    expect(of(', upgrade: websocket')).toEqual([]);
  });
});
