import { describe, expect, it } from 'vitest';
import {
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
import { refused } from './refused.ts';

const addresses = (list: string): string => service(`{ addresses: [${list}] }`);

describe('words of a document that are refused', () => {
  refused({
    'an unknown key, with the one that was meant': [
      service('{ addresses: [{ address: a.test, prot: 443 }] }'),
      '5:40 spec.addresses[0].prot: unknown key "prot"; did you mean "port"?',
    ],
    'an unknown key that is like no other': [
      service('{ addresses: [{ address: a.test }], zzzzzz: 1 }'),
      '5:43 spec.zzzzzz: unknown key "zzzzzz"; known are addresses, external, http2, provider',
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
      '5:7 spec: nothing is not a mapping; a mapping with addresses, external, provider, http2',
    ],
    'a kind that is none': [
      documentOf('Servce', 's', '{}'),
      '3:7 kind: the text "Servce" is no kind; did you mean "Service"?',
    ],
    'a document without a kind': [
      'spec: {}\n',
      '1:1 kind: "kind" is missing; known are CredentialBinding, CredentialSource, EgressPolicy, Preset, Proxy, Service, WorkloadIdentity',
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
    'a signed chunk beyond what is held': [
      proxy('{ limits: { maxSignedChunk: 65MiB } }'),
      '5:35 spec.limits.maxSignedChunk: 65MiB is out of bounds; from 8KiB to 64MiB',
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
    'a token as a selector': [
      identity('{ workloadID: w, selectors: [{ token:instance: [a] }] }'),
      '5:38 spec.selectors[0]["token:instance"]: the selector token:instance is not built yet; leave it out; every identity can be called by an instance token',
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
    'names that the proxy is to resolve, each where it is': [
      proxy('{ upstream: { resolve: [{ host: A.test, address: 10.0.0.7 }, { host: "*.b:1", address: 10.0.0.7 }] } }'),
      '5:39 spec.upstream.resolve[0].host: "A.test" is not spelled canonically; write a.test',
      '5:76 spec.upstream.resolve[1].host: "*.b:1" has a port in it; write it under "port"',
    ],
    'exceptions from the proxy of the network, each where it is': [
      proxy('{ upstream: { proxy: { address: "http://p.test", except: [10.0.0.0/8, "*.A.test", 10.0.0.1/8] } } }'),
      '5:77 spec.upstream.proxy.except[1]: "*.A.test" is not spelled canonically; write *.a.test',
      '5:89 spec.upstream.proxy.except[2]: "10.0.0.1/8" is not spelled canonically; write 10.0.0.0/8',
    ],
    'one address for two providers': [
      service(OPENAI) + service('{ addresses: [{ address: api.openai.com }], provider: none }', 't'),
      '10:32 spec.addresses[0].address: api.openai.com:443 is none here and openai in the Service "s"; give both the same provider, or make them one Service',
    ],
    'one address for two versions of HTTP': [
      service('{ addresses: [{ address: a.test }], http2: never }') +
        service('{ addresses: [{ address: a.test }] }', 't'),
      '10:32 spec.addresses[0].address: http2 of a.test:443 is not said here and never in the Service "s"; let both say the same, or make them one Service',
    ],
    'a word for HTTP/2 that is none': [
      service('{ addresses: [{ address: a.test }], http2: always }'),
      '5:50 spec.http2: the text "always" is not one of never, prefer, require; known are never, prefer, require',
    ],
    'a switch for HTTP/2': [
      service('{ addresses: [{ address: a.test }], http2: true }'),
      '5:50 spec.http2: true is not one of never, prefer, require; write never or prefer or require',
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
