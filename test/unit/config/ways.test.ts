import { describe, expect, it } from 'vitest';
import { presetDocument, presetYaml } from '../../../src/config/preset-document.ts';
import type { InjectionOptions } from '../../../src/injection/options.ts';
import { OPENAI } from '../../../src/injection/presets/openai.ts';
import { binding, documentOf, identity, load, PLAIN, service, source, world } from './policy-text.ts';
import { injection, refused } from './refused.ts';

const HMAC = {
  kind: 'hmac',
  algorithm: 'sha256',
  key: null,
  sign: [{ text: 'v0:' }, { value: 'timestamp' }, { text: ':' }, { value: 'body' }],
  encoding: 'hex',
  result: { in: 'header', name: 'X-Sig', format: 't={timestamp},v1={}' },
  timestamp: null,
  timestampUnit: 's',
  headers: [],
} as const;
const BINANCE = {
  kind: 'hmac',
  algorithm: 'sha512',
  key: 'password',
  sign: [{ value: 'query' }],
  encoding: 'base64',
  result: { in: 'query', name: 'signature' },
  timestamp: { in: 'query', name: 'timestamp' },
  timestampUnit: 'ms',
  headers: [{ name: 'X-Id', format: '{}', part: 'username' }],
} as const;

const WAYS: readonly (readonly [string, InjectionOptions])[] = [
  [
    '{ headers: [{ name: A, part: username }, { name: B, format: "K {}" }] }',
    {
      kind: 'headers',
      headers: [
        { name: 'A', format: '{}', part: 'username' },
        { name: 'B', format: 'K {}', part: null },
      ],
    },
  ],
  ['{ query: { name: api_key } }', { kind: 'query', name: 'api_key' }],
  ['{ path: { segment: "bot{}" } }', { kind: 'path', segment: 'bot{}' }],
  ['{ cookie: { name: session } }', { kind: 'cookie', name: 'session' }],
  ['{ subprotocol: { prefix: "key." } }', { kind: 'subprotocol', prefix: 'key.' }],
  ['{ jsonField: { pointer: "/a~1b/0/c~0d" } }', { kind: 'jsonField', pointer: ['a/b', '0', 'c~d'] }],
  ['{ formField: { name: token } }', { kind: 'formField', name: 'token' }],
  ['{ mtls: {} }', { kind: 'mtls' }],
  [
    '{ placeholder: { in: ["header:X_Key", query, path, body] } }',
    {
      kind: 'placeholder',
      in: [{ kind: 'header', name: 'x-key' }, { kind: 'query' }, { kind: 'path' }, { kind: 'body' }],
    },
  ],
  ['{ hmac: { sign: "v0:{timestamp}:{body}", header: { name: X-Sig, format: "t={timestamp},v1={}" } } }', HMAC],
  [
    '{ hmac: { algorithm: sha512, encoding: base64, key: password, sign: "{query}", query: { name: signature }, timestamp: { query: timestamp, unit: ms }, headers: [{ name: X-Id, part: username }] } }',
    BINANCE,
  ],
];

describe('ways of injection', () => {
  it.each(WAYS)('%s', (text, expected) => {
    expect(load(world(PLAIN) + injection(text)).policy.bindings[0]?.injection).toEqual(expected);
  });

  it.each(WAYS)('%s, in a Preset and printed from it', (_text, way) => {
    const yaml = presetYaml(presetDocument({ ...OPENAI, injection: way }, 'mine'));
    const uses = service('{ addresses: [{ address: a.test }], provider: mine }') + identity();
    expect(load(yaml + uses).policy.services[0]?.preset?.injection).toEqual(way);
  });
});

const fields = (parts: string): string =>
  service(PLAIN) + identity() + source(`{ file: { path: /k, format: json, fields: ${parts} } }`);
const AT = '20:86 spec.propagation.injection';

describe('ways that are refused', () => {
  const way = (text: string): string => world(PLAIN) + injection(text);
  refused({
    'two of them': [
      way('{ query: { name: k }, cookie: { name: k } }'),
      '20:108 spec.propagation.injection.cookie: cookie stands beside query; a credential is injected in one way; keep one',
    ],
    'a header twice': [
      way('{ headers: [{ name: X-A }, { name: x-a }] }'),
      '20:121 spec.propagation.injection.headers[1].name: the field x-a is there twice; keep one of the two',
    ],
    'a header with a meaning of its own': [
      way('{ headers: [{ name: Host }] }'),
      '20:106 spec.propagation.injection.headers[0].name: the field Host has a meaning of its own; a credential needs a field for itself, like X-API-Key',
    ],
    'an unknown part': [
      way('{ headers: [{ name: X-A, part: token }] }'),
      '20:117 spec.propagation.injection.headers[0].part: the text "token" is not one of key, username, password, accessKeyId, secretAccessKey, sessionToken; known are accessKeyId, key, password, secretAccessKey, sessionToken, username',
    ],
    'a parameter that would have to be escaped': [
      way('{ query: { name: "a b" } }'),
      '20:103 spec.propagation.injection.query.name: the text "a b" is not a parameter of letters, digits and "._~-"; for example api_key',
    ],
    'a segment that is none': [
      way('{ path: { segment: "bot/{}" } }'),
      '20:105 spec.propagation.injection.path.segment: the segment "bot/{}" is no segment with {} exactly once; write it like "bot{}", or "{}" alone',
    ],
    'a pointer that is none': [
      way('{ jsonField: { pointer: "/a~2" } }'),
      '20:110 spec.propagation.injection.jsonField.pointer: "/a~2" is no JSON pointer; write ~0 for "~" and ~1 for "/"',
    ],
    'a place that is none': [
      way('{ placeholder: { in: [cookie] } }'),
      '20:108 spec.propagation.injection.placeholder.in[0]: the text "cookie" is not a place; for example header:X-Api-Key, query, path, body',
    ],
    'a signature of nothing': [
      way('{ hmac: { sign: "x", header: { name: X-S } } }'),
      '20:102 spec.propagation.injection.hmac.sign: nothing of the request is signed; write it like "{timestamp}.{body}"',
    ],
    'a signature of what there is not': [
      way('{ hmac: { sign: "{bodi}", header: { name: X-S } } }'),
      '20:102 spec.propagation.injection.hmac.sign: there is no "{bodi}"; did you mean "body"?',
      '20:102 spec.propagation.injection.hmac.sign: nothing of the request is signed; write it like "{timestamp}.{body}"',
    ],
    'a signature that goes nowhere': [
      way('{ hmac: { sign: "{body}" } }'),
      '20:94 spec.propagation.injection.hmac: the signature goes to one place; write header: { name, format } or query: { name }',
    ],
    'a time that nobody is told': [
      way('{ hmac: { sign: "{timestamp}", header: { name: X-S } } }'),
      '20:102 spec.propagation.injection.hmac.sign: the timestamp is signed and sent nowhere; write timestamp: { header } or { query }, or {timestamp} in the format of the header',
    ],
    'a certificate that the source has not': [
      fields('{ key: k }') + injection('{ mtls: {} }'),
      `${AT}: the CredentialSource "c" has no part certificate; name it under "fields" of the source, or inject in another way`,
      `${AT}: the CredentialSource "c" has no part privateKey; name it under "fields" of the source, or inject in another way`,
    ],
    'a key that the source has not': [
      fields('{ username: u }') + injection('{ query: { name: k } }'),
      `${AT}: the CredentialSource "c" has no part key or password; name it under "fields" of the source, or inject in another way`,
    ],
    'a key in the target of a Service that requires HTTP/2': [
      world('{ addresses: [{ address: a.test }], http2: require }') + injection('{ query: { name: k } }'),
      '20:86 spec.propagation.injection: the Service "s" requires HTTP/2, and query needs HTTP/1.1; write http2: prefer for the Service, or inject in another way',
    ],
    'a body where none is': [
      world(PLAIN) +
        binding('services: [s], match: { methods: [GET] }, propagation: { injection: { formField: { name: k } } }'),
      '20:78 spec.match.methods: the credential goes into the body, and requests with these methods have none; add POST, or inject in another way',
    ],
    'a WebSocket by POST': [
      world(PLAIN) +
        binding(
          'services: [s], match: { methods: [POST] }, propagation: { injection: { subprotocol: { prefix: k } } }',
        ),
      '20:78 spec.match.methods: a WebSocket is opened by GET, which the match leaves out; add GET',
    ],
    'a field with a meaning of its own, in a Preset': [
      documentOf('Preset', 'p', '{ injection: { hmac: { sign: "{body}", header: { name: Host } } } }'),
      '5:62 spec.injection.hmac.header.name: the field Host has a meaning of its own; a credential needs a field for itself, like X-API-Key',
    ],
  });
});
