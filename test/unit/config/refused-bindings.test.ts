import { describe } from 'vitest';
import { AWS, binding, identity, OPENAI, PLAIN, policy, service, source, world } from './policy-text.ts';
import { injection, refused } from './refused.ts';

const owned = (selectors: string): string =>
  service(OPENAI) + identity(`{ workloadID: w, selectors: [${selectors}] }`) + source();
const UID = '{ unix:uid: [1001] }';
const filed = (file = '{}', name = 'b'): string => binding(`propagation: { file: ${file} }`, name);

describe('files that nobody can be given', () => {
  refused({
    'nobody to own it': [
      world() + filed(),
      '20:60 spec.propagation.file: no WorkloadIdentity of w says whose file it is; add the selector unix:uid or unix:user to it, or use injection: {}',
    ],
    'a process name is no owner': [
      owned('{ process:name: [python3] }') + filed(),
      '20:60 spec.propagation.file: no WorkloadIdentity of w says whose file it is; add the selector unix:uid or unix:user to it, or use injection: {}',
    ],
    'two owners': [
      owned('{ unix:uid: [1001, 1002] }') + filed(),
      '20:60 spec.propagation.file: w may be uid 1001 or uid 1002; a file has one owner; make a workload for each user, or use injection: {}',
    ],
    'two owners by two identities': [
      owned(UID) + identity('{ workloadID: w, selectors: [{ unix:user: [nobody] }] }', 'v') + filed(),
      '25:60 spec.propagation.file: w may be uid 1001 or user nobody; a file has one owner; make a workload for each user, or use injection: {}',
    ],
    'a relative path': [
      owned(UID) + filed('{ path: run/key }'),
      '20:74 spec.propagation.file.path: the text "run/key" is not an absolute path; for example /run/agent/key.json',
    ],
    'a path with a way out': [
      owned(UID) + filed('{ path: /run/x/../key }'),
      '20:74 spec.propagation.file.path: the path is not plain; write it without ".", "..", "//" and a final slash',
    ],
    'a folder': [
      owned(UID) + filed('{ path: /run/x/ }'),
      '20:74 spec.propagation.file.path: the path is not plain; write it without ".", "..", "//" and a final slash',
    ],
    'one path twice': [
      owned(UID) + filed('{ path: /run/key }') + filed('{ path: /run/key }', 'c'),
      '25:74 spec.propagation.file.path: the binding b has the same path; give each binding a file of its own',
    ],
    'an unknown format': [
      owned(UID) + filed('{ format: toml }'),
      '20:76 spec.propagation.file.format: the text "toml" is not one of json, raw, env; known are env, json, raw',
    ],
    'a socket that nobody can read': [
      world() + binding('propagation: { socket: {} }'),
      '20:60 spec.propagation.socket: no WorkloadIdentity of w says by what a reader is known; add selectors such as unix:uid, or use injection: {}',
    ],
    'a socket with a path that the kernel does not take': [
      owned(UID) + binding(`propagation: { socket: { path: /run/${'x'.repeat(103)} } }`),
      '20:76 spec.propagation.socket.path: the path of a socket has at most 107 bytes; name a shorter one',
    ],
    'a source for instances': [
      service(OPENAI) +
        identity(`{ workloadID: w, selectors: [${UID}] }`) +
        source('{ vault: { address: "https://v:8200", role: r, path: "kv/{{workload.instance}}" } }') +
        filed(),
      '20:60 spec.propagation.file: the source c names the instance, and a delivery is for every instance; use {{workload.id}} in the source, or injection: {}',
    ],
  });
});

describe('bindings that are refused', () => {
  const wild = '{ addresses: [{ address: "*.openai.com" }], provider: openai }';
  refused({
    'a credential for a wildcard': [
      world(wild) + binding(),
      '20:56 spec.services[0]: the Service "s" has the wildcard *.openai.com:443; list the hosts, or write ownedZone: true there if every name below it is yours',
    ],
    'a credential for a network': [
      world('{ addresses: [{ address: 10.0.0.0/8 }], provider: openai }') + binding(),
      '20:56 spec.services[0]: the Service "s" has the network 10.0.0.0/8:443; a credential goes to named hosts only',
    ],
    'a credential for plain http': [
      world('{ addresses: [{ address: api.openai.com, port: 80 }], provider: openai }') + binding(),
      '20:56 spec.services[0]: the Service "s" has the plain-http address api.openai.com:80; a credential goes over https only; name the https port, or bind another Service',
    ],
    'two bindings for one request': [
      world() + binding() + binding('services: [s]', 'b2'),
      '24:19 metadata.name: the bindings "b" and "b2" could serve one request of w to "s"; tell them apart by match: { methods, paths }, or remove one',
    ],
    'two bindings whose paths overlap': [
      world() +
        binding('services: [s], match: { paths: [/v1/**] }') +
        binding('services: [s], match: { paths: ["/*/files"] }', 'b2'),
      '24:19 metadata.name: the bindings "b" and "b2" could serve one request of w to "s"; make methods or paths of their match exclude each other, or remove one',
    ],
    'two Services of one address for one workload': [
      world() + service(OPENAI, 't') + binding() + binding('services: [t]', 'b2'),
      '29:19 metadata.name: w is bound to api.openai.com:443 through the Services "s" and "t"; leave one Service with that address, and bind to it',
    ],
    'no provider and no way of injection': [
      world(PLAIN) + binding(),
      '20:42 spec.propagation.injection: the Service "s" has no provider that says how to inject; write one of bearer, header, headers, basic, query, path, cookie, subprotocol, jsonField, formField, hmac, mtls, placeholder, sigv4, such as bearer: {} or header: {name, format}',
    ],
    'AWS without services and regions': [
      world(AWS) + injection('{}'),
      '20:86 spec.propagation.injection: AWS services and regions must be listed; write injection: { sigv4: { services: [s3], regions: [us-east-1] } }',
    ],
    'sigv4 without a service': [
      world(AWS) + injection('{ sigv4: { services: [], regions: [us-east-1] } }'),
      '20:107 spec.propagation.injection.sigv4.services: the list is empty; name at least one',
    ],
    'sigv4 without regions': [
      world(AWS) + injection('{ sigv4: { services: [s3] } }'),
      '20:95 spec.propagation.injection.sigv4.regions: "regions" is missing; a list',
    ],
    'sigv4 for another provider': [
      world() + injection('{ sigv4: { services: [s3], regions: [us-east-1] } }'),
      '20:86 spec.propagation.injection: the Service "s" is not one of AWS; give it "provider: aws", or inject in another way',
    ],
    'two ways of injection': [
      world() + injection('{ bearer: {}, basic: {} }'),
      '20:100 spec.propagation.injection.basic: basic stands beside bearer; a credential is injected in one way; keep one',
    ],
    'a header that means something else': [
      world(PLAIN) + injection('{ header: { name: Transfer-Encoding } }'),
      '20:104 spec.propagation.injection.header.name: the field Transfer-Encoding has a meaning of its own; a credential needs a field for itself, like X-API-Key',
    ],
    'a header that is no field name': [
      world(PLAIN) + injection('{ header: { name: "X Key" } }'),
      '20:104 spec.propagation.injection.header.name: "X Key" is no field name; write it like X-API-Key',
    ],
    'a format without a place for the key': [
      world(PLAIN) + injection('{ header: { name: X-Key, format: Token } }'),
      '20:119 spec.propagation.injection.header.format: the format "Token" needs {} exactly once; write it like "Token {}"; {} is where the key goes',
    ],
    'injection without Services': [
      world() + binding('propagation: {}'),
      '20:7 spec.services: "services" is missing; name the Services at which the credential is injected',
    ],
    'a Service twice': [
      world() + binding('services: [s, s]'),
      '20:59 spec.services[1]: the Service "s" is there twice; keep one of the two',
    ],
    'an empty match': [
      world() + binding('services: [s], match: {}'),
      '20:67 spec.match: the match is empty; give methods or paths, or remove it',
    ],
    'sysfs beside the file that it means': [
      owned(UID) + binding('propagation: { sysfs: {}, file: {} }'),
      '20:60 spec.propagation.sysfs: sysfs means file, and file is there too; keep file',
    ],
  });
});

describe('rules that are refused', () => {
  const path = (text: string): string => identity() + policy(`{ paths: ["${text}"], action: allow }`);
  const at = '10:43 spec.rules[0].paths[0]: the path pattern';
  refused({
    'a path that is not from the root': [
      path('v1'),
      `${at} "v1" does not begin with "/"; write the path from its root, /v1/models`,
    ],
    'a star inside a segment': [
      path('/v1/a*'),
      `${at} "/v1/a*" has "*" inside a segment; "*" is one whole segment, "**" at the end is any rest`,
    ],
    'two stars before the end': [
      path('/**/x'),
      `${at} "/**/x" has "**" before its end; "**" stands for the rest of the path and is the last segment`,
    ],
    'an empty segment': [path('//a'), `${at} "//a" has an empty segment ("//"); one slash is enough`],
    'a dot segment': [path('/a/../b'), `${at} "/a/../b" has a dot segment; write the path as it is meant`],
    'a query': [path('/a?b=c'), `${at} "/a?b=c" has a query or a fragment; write the path alone`],
    'a space': [
      path('/a b'),
      `${at} "/a b" has a character that a path cannot have; write it as the workload sends it, with upper-case percent escapes`,
    ],
    'calls of a provider that has none': [
      world() + policy('{ services: [s], calls: ["s3:GetObject"], action: allow }'),
      '20:50 spec.rules[0].calls: the Service "s" has no calls; name calls of Services with "provider: aws" only; use paths for others',
    ],
    'minting without a name': [
      identity() + policy('{ calls: ["sts:*"], action: allow, mintsCredentials: true }'),
      '10:68 spec.rules[0].mintsCredentials: the rule does not name the call that mints; list it under calls by its full name, or under paths',
    ],
    'minting in a rule that denies': [
      identity() + policy('{ action: deny, mintsCredentials: true }'),
      '10:49 spec.rules[0].mintsCredentials: a rule with the action deny mints nothing; remove it, or write action: allow',
    ],
  });
});
