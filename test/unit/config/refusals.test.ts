import { describe, expect, it } from 'vitest';
import { SOURCE_KINDS } from '../../../src/config/source-shape.ts';
import {
  AWS,
  binding,
  documentOf,
  identity,
  OPENAI,
  PLAIN,
  policy,
  proxy,
  refusals,
  service,
  source,
  world,
} from './policy-text.ts';

const addresses = (list: string): string => service(`{ addresses: [${list}] }`);
const injection = (way: string): string => binding(`services: [s], propagation: { injection: ${way} }`);
const vault = (rest: string): string =>
  source(`{ vault: { address: "https://v:8200", role: r, path: kv/x, ${rest} } }`);

/** What it is → text → `line:column path: what is wrong; what would be right`. */
type Cases = Readonly<Record<string, readonly [string, ...string[]]>>;

function refused(cases: Cases): void {
  for (const [name, [text, ...expected]] of Object.entries(cases))
    it(name, () => expect(refusals(text)).toEqual(expected));
}

describe('words of a document that are refused', () => {
  refused({
    'an unknown key, with the one that was meant': [
      service('{ addresses: [{ address: a.test, prot: 443 }] }'),
      '5:40 spec.addresses[0].prot: unknown key "prot"; did you mean "port"?',
    ],
    'an unknown key that is like no other': [
      service('{ addresses: [{ address: a.test }], zzzzzz: 1 }'),
      '5:43 spec.zzzzzz: unknown key "zzzzzz"; known are addresses, external, provider',
    ],
    'a key that is missing': [
      source('{ vault: { address: "https://v:8200", role: r } }'),
      '5:16 spec.vault.path: "path" is missing; ',
    ],
    'a port that is a text': [
      addresses('{ address: a.test, port: "443" }'),
      '5:46 spec.addresses[0].port: the text "443" is not a port; write 443 without quotes',
    ],
    'a port that does not exist': [
      addresses('{ address: a.test, port: 70000 }'),
      '5:46 spec.addresses[0].port: 70000 is too large; at most 65535',
    ],
    'a uid that is a text': [
      identity('{ workloadID: w, selectors: [{ unix:uid: ["1001"] }] }'),
      '5:49 spec.selectors[0]["unix:uid"][0]: the text "1001" is not a numeric id; write 1001 without quotes',
    ],
    'a label that is a number': [
      service(PLAIN).replace('name: s', 'name: s, labels: { a: 1 }'),
      '4:35 metadata.labels.a: 1 is not a text; write "1" in quotes',
    ],
    'a boolean that is a text': [
      addresses('{ address: a.test, ownedZone: "true" }'),
      '5:51 spec.addresses[0].ownedZone: the text "true" is not true or false; write true or false, without quotes',
    ],
    'a value where a list belongs': [
      identity('{ workloadID: w, selectors: [{ process:name: python3 }] }'),
      '5:52 spec.selectors[0]["process:name"]: the text "python3" is not a list; write [python3]',
    ],
    'nothing where a mapping belongs': [
      `${documentOf('Service', 's', '')}`,
      '5:7 spec: nothing is not a mapping; a mapping with addresses, external, provider',
    ],
    'a kind that is none': [
      documentOf('Servce', 's', '{}'),
      '3:7 kind: the text "Servce" is no kind; did you mean "Service"?',
    ],
    'a document without a kind': [
      'spec: {}\n',
      '1:1 kind: "kind" is missing; known are CredentialBinding, CredentialSource, EgressPolicy, Proxy, Service, WorkloadIdentity',
    ],
    'a document that is a list': [
      '- a\n',
      '1:1 : a document is a mapping, and this is a list; begin with apiVersion and kind',
    ],
    'another version of the language': [
      service(PLAIN).replace('v1alpha1', 'v2'),
      '2:13 apiVersion: the text "countersign.dev/v2" is not "countersign.dev/v1alpha1"; write countersign.dev/v1alpha1',
    ],
    'an action that is none': [
      identity() + policy('{ action: alow }'),
      '10:43 spec.rules[0].action: the text "alow" is not one of allow, deny, requireApproval; did you mean "allow"?',
    ],
    'a method in lower case': [
      identity() + policy('{ methods: [get], action: allow }'),
      '10:45 spec.rules[0].methods[0]: the text "get" is not a method, which is upper-case; for example GET, POST',
    ],
    'a call without its service': [
      identity() + policy('{ calls: [GetObject], action: allow }'),
      '10:43 spec.rules[0].calls[0]: the text "GetObject" is not an AWS call as service:Action; for example s3:GetObject, bedrock:*',
    ],
  });
});

describe('quantities that are refused', () => {
  refused({
    'a duration without its unit': [
      proxy('{ limits: { headDeadline: 30 } }'),
      '5:33 spec.limits.headDeadline: 30 is not a duration with its unit; for example 30s, 10m, 24h',
    ],
    'a duration with another unit': [
      proxy('{ limits: { headDeadline: 30sec } }'),
      '5:33 spec.limits.headDeadline: the text "30sec" is not a duration with its unit; for example 30s, 10m, 24h',
    ],
    'a duration out of bounds': [
      proxy('{ limits: { headDeadline: 48h } }'),
      '5:33 spec.limits.headDeadline: 48h is out of bounds; from 100ms to 5m',
    ],
    'a size with another unit': [
      proxy('{ limits: { maxBufferedBody: 8MB } }'),
      '5:36 spec.limits.maxBufferedBody: the text "8MB" is not a size with its unit; for example 64KiB, 8MiB',
    ],
    'a size out of bounds': [
      proxy('{ limits: { maxBufferedBody: 2GiB } }'),
      '5:36 spec.limits.maxBufferedBody: 2GiB is out of bounds; from 1KiB to 256MiB',
    ],
    'a request head beyond what is read': [
      proxy('{ limits: { maxRequestHead: 2MiB } }'),
      '5:35 spec.limits.maxRequestHead: 2MiB is out of bounds; from 1KiB to 1MiB',
    ],
    'a rate with another unit': [
      identity() + policy('', ', limits: { requests: 600/minute }'),
      '10:56 spec.limits.requests: the text "600/minute" is not a rate; for example 10/s, 600/min, 5000/h',
    ],
    'a limit of nothing': [
      proxy('{ limits: { maxConnections: 0 } }'),
      '5:35 spec.limits.maxConnections: 0 is too small; at least 1',
    ],
    'no workers': [proxy('{ workers: 0 }'), '5:18 spec.workers: 0 is too small; at least 1'],
    'a crowd of workers': [proxy('{ workers: 65 }'), '5:18 spec.workers: 65 is too large; at most 64'],
    'a token that lives too long': [
      proxy('{ issuer: { tokenLifetime: 1h } }'),
      '5:34 spec.issuer.tokenLifetime: 1h is out of bounds; from 1s to 10m',
    ],
    'a key of the issuer that is changed too often': [
      proxy('{ issuer: { keyLifetime: 59m } }'),
      '5:32 spec.issuer.keyLifetime: 59m is out of bounds; from 1h to 2160h',
    ],
    'half of what TLS needs': [
      proxy('{ issuer: { tls: { certificateFile: a.pem } } }'),
      '5:24 spec.issuer.tls.keyFile: "keyFile" is missing; ',
    ],
    'keys in transit that change here': [
      proxy('{ issuer: { keyLifetime: 24h, transit: { address: "https://v:8200", key: k, tokenFile: t } } }'),
      '5:32 spec.issuer.keyLifetime: keys in transit are rotated there; leave it out, and set auto_rotate_period of the key',
    ],
    'transit at a path': [
      proxy('{ issuer: { transit: { address: "https://v:8200/v1", key: k, tokenFile: t } } }'),
      '5:39 spec.issuer.transit.address: the text "https://v:8200/v1" is not an origin without path; for example https://vault.internal:8200',
    ],
    'an issuer that the sandbox cannot verify': [
      proxy('{ sandbox: {}, issuer: { tls: { certificateFile: a.pem, keyFile: b.pem } } }'),
      '5:37 spec.issuer.tls: the Vault of the sandbox cannot verify a certificate; leave tls out, or the sandbox',
    ],
  });
});

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

describe('what the language has and this version does not do', () => {
  refused({
    observing: [
      proxy('{ mode: observe }'),
      '5:15 spec.mode: "observe" is not built yet; write enforce, or leave it out',
    ],
    'tunnels to what no Service names': [
      proxy('{ unmatched: tunnel }'),
      '5:20 spec.unmatched: "tunnel" is not built yet; write deny, or leave it out',
    ],
    'HTTP/2': [
      service('{ http2: true, addresses: [{ address: a.test }] }'),
      '5:9 spec.http2: "http2" is not built yet; leave it out; upstreams are spoken to in HTTP/1.1',
    ],
    'another way to log in': [
      vault('auth: { kubernetes: {} }'),
      '5:74 spec.vault.auth.kubernetes: "kubernetes" is not built yet; use the jwt auth method',
    ],
    'injection into the query': [
      world() + injection('{ query: { name: k } }'),
      '20:88 spec.propagation.injection.query: "query" is not built yet; use bearer, header, basic or sigv4',
    ],
    'presigned requests': [
      world(AWS) + injection('{ sigv4: { services: [s3], regions: [us-east-1], presigned: true } }'),
      '20:135 spec.propagation.injection.sigv4.presigned: "presigned" is not built yet; leave it out; presigned requests are refused',
    ],
    'a token as a selector': [
      identity('{ workloadID: w, selectors: [{ token:instance: [a] }] }'),
      '5:38 spec.selectors[0]["token:instance"]: the selector token:instance is not built yet; leave it out; every identity can be called by an instance token',
    ],
    'a transparent listener': [
      proxy('{ listeners: { transparent: {} } }'),
      '5:22 spec.listeners.transparent: "transparent" is not built yet; use the explicit listener',
    ],
    'a corporate proxy': [
      proxy('{ upstream: { proxy: "http://p:3128" } }'),
      '5:21 spec.upstream.proxy: "proxy" is not built yet; leave it out; destinations are dialled directly',
    ],
  });
});

describe('addresses that are refused', () => {
  const one = (text: string): string => addresses(`{ address: "${text}" }`);
  const at = '5:32 spec.addresses[0].address';
  refused({
    'a host in upper case': [
      one('API.openai.com'),
      `${at}: "API.openai.com" is not spelled canonically; write api.openai.com`,
    ],
    'a host with a final dot': [
      one('api.openai.com.'),
      `${at}: "api.openai.com." is not spelled canonically; write api.openai.com`,
    ],
    'an IPv6 address in a long spelling': [
      one('2001:DB8::0:1'),
      `${at}: "2001:DB8::0:1" is not spelled canonically; write 2001:db8::1`,
    ],
    'a short IPv4 address': [
      one('10.1'),
      `${at}: "10.1" is not a host: host looks like an IPv4 address but is not a strict dotted quad; write a host name or an IP address`,
    ],
    'a URL': [
      one('https://a.test'),
      `${at}: "https://a.test" is a URL; write the host alone; the port has a key of its own`,
    ],
    'a port in the address': [one('a.test:443'), `${at}: "a.test:443" has a port in it; write it under "port"`],
    'a wildcard for all': [one('*'), `${at}: "*" has "*" where it means nothing; "*." stands at the beginning only`],
    'a wildcard in the middle': [
      one('a.*.com'),
      `${at}: "a.*.com" has "*" where it means nothing; "*." stands at the beginning only`,
    ],
    'a wildcard for a top-level domain': [
      one('*.com'),
      `${at}: "*.com" is too wide; a "*." stands before a name of two labels or more`,
    ],
    'a network with bits behind its prefix': [
      one('10.1.2.3/8'),
      `${at}: "10.1.2.3/8" is not spelled canonically; write 10.0.0.0/8`,
    ],
    'a prefix that is too long': [
      one('10.0.0.0/33'),
      `${at}: "10.0.0.0/33" is not a network; write it like 10.1.0.0/16`,
    ],
    'an address twice': [
      addresses('{ address: a.test }, { address: a.test, port: 443 }'),
      '5:53 spec.addresses[1].address: the address a.test:443 is there twice; keep one of the two',
    ],
    'one address for two providers': [
      service(OPENAI) + service('{ addresses: [{ address: api.openai.com }], provider: none }', 't'),
      '10:32 spec.addresses[0].address: api.openai.com:443 is none here and openai in the Service "s"; give both the same provider, or make them one Service',
    ],
    'a provider without a preset': [
      service('{ addresses: [{ address: a.test }], provider: opnai }'),
      '5:53 spec.provider: there is no preset for the provider "opnai"; did you mean "openai"?',
    ],
  });
});

describe('names and references that are refused', () => {
  refused({
    'a name twice': [
      identity() + identity(),
      '9:19 metadata.name: there is a second WorkloadIdentity "w"; the first is at p.yaml:4; rename one',
    ],
    'a second Proxy document': [
      proxy('{}') + proxy('{}', 'n2'),
      '8:7 kind: there is a second Proxy document; the first is at p.yaml:3; make them one',
    ],
    'a Service that is not there': [
      world() + binding('services: [t]'),
      '20:56 spec.services[0]: there is no Service "t"; did you mean "s"?',
    ],
    'a source that is not there': [
      service(OPENAI) + identity() + binding(),
      '15:42 spec.credentialSource: there is no CredentialSource "c"; no CredentialSource is declared',
    ],
    'a workload that is not there': [
      service(OPENAI) + source() + binding(),
      '15:21 spec.workloadID: no WorkloadIdentity has the workloadID "w"; none is declared',
    ],
    'a workload of a policy that is not there': [
      identity('{ workloadID: agent }') + policy('').replace('[w]', '[agnet]'),
      '10:21 spec.workloads[0]: no WorkloadIdentity has the workloadID "agnet"; did you mean "agent"?',
    ],
    'the name of a document in place of its workloadID': [
      identity('{ workloadID: team/agent }', 'wonderful') + policy('').replace('[w]', '[wonderful]'),
      '10:21 spec.workloads[0]: no WorkloadIdentity has the workloadID "wonderful"; that is the name of a document; write its spec.workloadID',
    ],
    'a Service of a rule that is not there': [
      world() + policy('{ services: [x], action: allow }'),
      '20:46 spec.rules[0].services[0]: there is no Service "x"; did you mean "s"?',
    ],
    'a reference into another namespace': [
      world().replace('name: s ', 'name: s, namespace: team ') + binding(),
      '20:56 spec.services[0]: there is no Service "s"; the namespace team has one, but references stay within their namespace',
    ],
    'a workload that two namespaces would share': [
      identity('{ workloadID: team/w }') +
        identity('{ workloadID: w }', 'x').replace('name: x', 'name: x, namespace: team'),
      '10:21 spec.workloadID: the workload "team/w" is also one of the namespace default; choose another workloadID',
    ],
    'a workloadID that is no path': [
      identity('{ workloadID: a/../b }'),
      '5:21 spec.workloadID: "a/../b" makes no SPIFFE ID: path has a malformed segment; write it like team-a/worker',
    ],
  });

  it('a broken document is reported once, not again by those that refer to it', () => {
    expect(
      refusals(service('{ adresses: 1 }') + identity() + source() + binding()).map((each) => each.slice(0, 4)),
    ).toEqual(['5:7 ', '5:9 ']);
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
      '20:42 spec.propagation.injection: the Service "s" has no provider that says how to inject; write bearer: {}, header: {name, format}, basic: {} or sigv4: {services, regions}',
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

describe('sources and identities that are refused', () => {
  const address = (text: string): string => source(`{ vault: { address: "${text}", role: r, path: kv/x } }`);
  const kv = (text: string): string => source(`{ vault: { address: "https://v", role: r, path: "${text}" } }`);
  refused({
    'a source of no kind': [
      source('{}'),
      `5:7 spec: the kind of source is missing; write one of ${SOURCE_KINDS.join(', ')}`,
    ],
    'a token endpoint in clear': [
      source(
        '{ oauth2: { tokenUrl: "http://as.test/token", clientId: c, auth: { none: {} }, grant: { tokenExchange: {} } } }',
      ),
      '5:29 spec.oauth2.tokenUrl: credentials would cross the network in clear; write https; http is for this machine alone',
    ],
    'a token endpoint with a query': [
      source('{ oauth2: { tokenUrl: "https://as.test/token?x=1", clientId: c, auth: { none: {} } } }'),
      '5:29 spec.oauth2.tokenUrl: the text "https://as.test/token?x=1" is not a URL without query and final slash; for example https://login.example.com/oauth/token',
    ],
    'a client without proof that asks for itself': [
      source('{ oauth2: { tokenUrl: "https://as.test/token", clientId: c, auth: { none: {} } } }'),
      '5:73 spec.oauth2.auth: a client that proves nothing gets no token for itself; use clientSecret or privateKeyJwt',
    ],
    'a client with two proofs': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {}, clientSecret: { file: s } } } }',
      ),
      '5:69 spec.oauth2.auth: clientSecret and none exclude each other; keep one',
    ],
    'a secret that is nowhere': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { clientSecret: {} } } }'),
      '5:85 spec.oauth2.auth.clientSecret: where the secret is kept is not said; write file: /run/secrets/x, or variable: NAME',
    ],
    'a secret that is in two places': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { clientSecret: { file: s, variable: S } } } }',
      ),
      '5:85 spec.oauth2.auth.clientSecret: file and variable exclude each other; write file: /run/secrets/x, or variable: NAME',
    ],
    'no proof and no grant': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: {}, grant: {} } }'),
      '5:69 spec.oauth2.auth: "auth" is empty; write one of clientSecret, privateKeyJwt or none',
      '5:80 spec.oauth2.grant: "grant" is empty; write one of clientCredentials, refreshToken or tokenExchange',
    ],
    'two grants': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {} }, grant: { refreshToken: { file: r }, tokenExchange: {} } } }',
      ),
      '5:90 spec.oauth2.grant: refreshToken and tokenExchange exclude each other; keep one',
    ],
    'a scope of two words': [
      source('{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { none: {} }, scope: ["a b"] } }'),
      '5:91 spec.oauth2.scope[0]: the text "a b" is not a scope without spaces; for example read:orders',
    ],
    'an algorithm that is none': [
      source(
        '{ oauth2: { tokenUrl: "https://as.test/t", clientId: c, auth: { privateKeyJwt: { file: k, alg: HS256 } } } }',
      ),
      '5:102 spec.oauth2.auth.privateKeyJwt.alg: the text "HS256" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA; did you mean "RS256"?',
    ],
    'a program by its name': [
      source('{ exec: { command: [print-key] } }'),
      '5:27 spec.exec.command[0]: the program is no absolute path; write it like /usr/local/bin/print-key',
    ],
    'a command that is a line': [
      source('{ exec: { command: /bin/print-key -v } }'),
      '5:26 spec.exec.command: the text "/bin/print-key -v" is not a list; write [/bin/print-key -v]',
    ],
    'a program without a command': [
      source('{ exec: { command: [] } }'),
      '5:26 spec.exec.command: the list is empty; name at least one',
    ],
    'an unknown name in an argument': [
      source('{ exec: { command: [/bin/p, "{{workload.ids}}"] } }'),
      '5:35 spec.exec.command[1]: the argument has the unknown name "{{workload.ids}}"; did you mean {{workload.id}}?',
    ],
    'a timeout longer than anybody waits': [
      source('{ exec: { command: [/bin/p], timeout: 30s } }'),
      '5:45 spec.exec.timeout: 30s is out of bounds; from 100ms to 5s',
    ],
    'an account that is an option': [
      source('{ keyring: { service: s, account: --all } }'),
      '5:41 spec.keyring.account: the text "--all" is not a text that does not begin with "-"; for example openai',
    ],
    'the old words for env and exec': [
      source('{ command: {} }'),
      `5:9 spec.command: unknown key "command"; known are ${SOURCE_KINDS.toSorted().join(', ')}`,
    ],
    'a variable and fields': [
      source('{ env: { variable: A, fields: { key: B } } }'),
      '5:16 spec.env.variable: variable and fields exclude each other; keep fields, and name the key there',
    ],
    'no variable': [source('{ env: {} }'), '5:14 spec.env: no variable is named; write variable: OPENAI_KEY'],
    'a variable that is two parts': [
      source('{ env: { fields: { username: A, password: A } } }'),
      '5:24 spec.env.fields: one variable is two parts of the credential; name one for each',
    ],
    'a variable with a dash': [
      source('{ env: { variable: A-B } }'),
      '5:26 spec.env.variable: the text "A-B" is not the name of an environment variable; for example OPENAI_KEY',
    ],
    'a source of two kinds': [
      source('{ file: { path: k }, vault: { address: "https://v", role: r, path: kv/x } }'),
      '5:9 spec: a source is of one kind, and this is vault and file; keep one; write a document for each',
    ],
    'fields of a raw file': [
      source('{ file: { path: k, fields: { key: a } } }'),
      '5:26 spec.file.fields: a raw file is one key and has no fields; write format: json or env, or remove it',
    ],
    'a format that is none': [
      source('{ file: { path: k, format: yaml } }'),
      '5:34 spec.file.format: the text "yaml" is not one of raw, json, env; known are env, json, raw',
    ],
    'an address with a path': [
      address('https://v:8200/v1'),
      '5:27 spec.vault.address: the text "https://v:8200/v1" is not an origin without path, or "sandbox"; for example https://vault.internal:8200',
    ],
    'an address with a bad port': [
      address('https://v:82000'),
      '5:27 spec.vault.address: "https://v:82000" is not an origin: port is not a number from 1 to 65535; write it like https://vault.internal:8200',
    ],
    'the sandbox where there is none': [
      address('sandbox'),
      '5:27 spec.vault.address: there is no sandbox; add "sandbox: {}" to the Proxy document, or write the address of your Vault',
    ],
    'an unknown name in braces': [
      kv('kv/{{workload.ids}}'),
      '5:55 spec.vault.path: the path has the unknown name "{{workload.ids}}"; did you mean {{workload.id}}?',
    ],
    'a brace too many': [
      kv('kv/{x}'),
      '5:55 spec.vault.path: the path has a brace that belongs to no name; names are written {{workload.id}}',
    ],
    'a path with a first slash': [
      kv('/kv/x'),
      '5:55 spec.vault.path: the path has an empty or a dot segment; write it without a first or last slash, openai/creds/my-role',
    ],
    'a path with the version of the API': [
      kv('v1/kv/x'),
      '5:55 spec.vault.path: the path begins with "v1/"; write what follows it; /v1/ is added',
    ],
    'a query in the path': [
      kv('kv/x?version=1'),
      '5:55 spec.vault.path: the path has a query, a fragment or a space; queries go under "parameters"',
    ],
    'two auth methods': [
      vault('jwtAuthMethodPath: a, auth: { jwt: {} }'),
      '5:88 spec.vault.auth: the auth method is given twice; keep jwtAuthMethodPath or auth',
    ],
    'a part of a credential that is none': [
      vault('fields: { keey: a }'),
      '5:76 spec.vault.fields.keey: unknown key "keey"; did you mean "key"?',
    ],
    'a source address alone': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0.1] }] }'),
      '5:24 spec.selectors: a source address alone identifies nobody; add unix:uid or cgroup:path, or use instance tokens alone',
    ],
    'a source that is no address': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0], unix:uid: [1] }] }'),
      '5:51 spec.selectors[0]["net:source"][0]: "10.0.0" is not an IP address; write it like 10.0.0.7, or a network like 10.0.0.0/8',
    ],
    'a source network with bits behind its prefix': [
      identity('{ workloadID: w, selectors: [{ net:source: [10.0.0.7/8], unix:uid: [1] }] }'),
      '5:51 spec.selectors[0]["net:source"][0]: "10.0.0.7/8" is not spelled canonically; write 10.0.0.0/8',
    ],
    'a selector twice': [
      identity('{ workloadID: w, selectors: [{ unix:uid: [1] }, { unix:uid: [2] }] }'),
      '5:57 spec.selectors[1]["unix:uid"]: the selector unix:uid is there twice; list all its values in one',
    ],
    'a process name that the kernel would cut off': [
      identity('{ workloadID: w, selectors: [{ process:name: [a-very-long-process], unix:uid: [1] }] }'),
      '5:53 spec.selectors[0]["process:name"][0]: the text "a-very-long-process" is not a process name as in /proc/PID/comm; for example python3',
    ],
    'an admin socket that cannot be bound': [
      proxy(`{ admin: { socket: /${'x'.repeat(120)} } }`),
      '5:26 spec.admin.socket: the path of the admin socket is longer than 107 bytes; name a shorter one under admin.socket, like /run/countersign/admin.sock',
    ],
    'a unix listener whose mode is no text': [
      proxy('{ listeners: { unix: { path: /run/p.sock, mode: 0660 } } }'),
      '5:55 spec.listeners.unix.mode: "0660" is an unusual spelling of a number; write plain digits, or quote it if it is a text',
    ],
    'a unix listener that workers would share': [
      proxy('{ workers: 2, listeners: { unix: { path: /run/p.sock } } }'),
      '5:40 spec.listeners.unix: a unix socket cannot be shared by worker processes; leave out workers, or the unix listener',
    ],
    'a unix listener that cannot be bound': [
      proxy(`{ listeners: { unix: { path: /${'x'.repeat(120)} } } }`),
      '5:36 spec.listeners.unix.path: the path of the unix socket is longer than 107 bytes; name a shorter one under listeners.unix.path, like /run/countersign/proxy.sock',
    ],
    'a listener on a name': [
      proxy('{ listeners: { explicit: { address: localhost } } }'),
      '5:43 spec.listeners.explicit.address: the text "localhost" is not an IP address; for example 127.0.0.1',
    ],
  });
});
