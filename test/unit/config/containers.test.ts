/** Duty: selectors of container engine and cluster, and what they need of the Proxy document. */
import { describe, expect, it } from 'vitest';
import { createJsonSchema } from '../../../src/config/schema.ts';
import { binding, identity, load, OPENAI, proxy, refusals, service, source, warnings } from './policy-text.ts';

const selecting = (selectors: string): string =>
  identity(`{ workloadID: w, selectors: [{ ${selectors} }] }`) + service(OPENAI) + source() + binding();
const attestation = (text: string): string => proxy(`{ attestation: { ${text} } }`);
/** Both sources, one line each of a Proxy document that takes five. */
const both = attestation('docker: {}, kubernetes: {}');
const byAddress = (way: string): string => attestation(`kubernetes: { podAddress: ${way} }`);

describe('the sources of evidence', () => {
  it('are none unless they are named', () => {
    expect(load(proxy('{}')).proxy.attestation).toMatchObject({ docker: null, kubernetes: null });
    expect(load('').proxy.attestation).toMatchObject({ docker: null, kubernetes: null });
  });

  it('are those of a pod, and of a host with Docker, where only named', () => {
    const account = '/var/run/secrets/kubernetes.io/serviceaccount';
    expect(load(both).proxy.attestation).toMatchObject({
      docker: { socket: '/var/run/docker.sock' },
      kubernetes: {
        apiServer: 'https://kubernetes.default.svc',
        caFile: `${account}/ca.crt`,
        tokenFile: `${account}/token`,
        nodeName: null,
        namespace: null,
        podAddress: 'ignored',
      },
    });
  });

  it('are as they are said to be', () => {
    const text =
      'docker: { socket: /run/podman/podman.sock }, kubernetes: { apiServer: "https://10.0.0.1:6443", caFile: /etc/ca.pem, tokenFile: /etc/token, nodeName: node-1, namespace: team-a }';
    expect(load(attestation(text)).proxy.attestation).toMatchObject({
      docker: { socket: '/run/podman/podman.sock' },
      kubernetes: {
        apiServer: 'https://10.0.0.1:6443',
        caFile: '/etc/ca.pem',
        tokenFile: '/etc/token',
        nodeName: 'node-1',
        namespace: 'team-a',
      },
    });
  });

  it.each<[string, string, string]>([
    [
      'an API server in clear, where its token would be read',
      attestation('kubernetes: { apiServer: "http://10.0.0.1:8080" }'),
      '5:49 spec.attestation.kubernetes.apiServer: the text "http://10.0.0.1:8080" is not an https origin without path; for example https://kubernetes.default.svc',
    ],
    [
      'a socket by a relative path',
      attestation('docker: { socket: docker.sock }'),
      '5:42 spec.attestation.docker.socket: the text "docker.sock" is not the absolute path of a socket; for example /var/run/docker.sock, /run/podman/podman.sock',
    ],
    [
      'another way to know a pod by its address',
      byAddress('always'),
      '5:50 spec.attestation.kubernetes.podAddress: the text "always" is not one of ignored, beside-token, trusted; known are beside-token, ignored, trusted',
    ],
    [
      'a source that is none',
      attestation('dokcer: {}'),
      '5:24 spec.attestation.dokcer: unknown key "dokcer"; did you mean "docker"?',
    ],
  ])('are not %s', (_what, text, expected) => {
    expect(refusals(text)).toEqual([expected]);
  });
});

describe('a selector', () => {
  it('of an image, a label or a pod is taken as it stands', () => {
    const text = selecting(
      '"docker:label:com.example/Team": [agents], docker:image: ["registry.test/agent:1.4"], k8s:ns: [team-a], "k8s:pod-label:app.kubernetes.io/name": [agent, ""]',
    );
    expect(warnings(both + text)).toEqual([]);
    expect(load(both + text).identities[0]?.selectors).toEqual([
      { key: 'docker:image', values: ['registry.test/agent:1.4'] },
      { key: 'k8s:ns', values: ['team-a'] },
      { key: 'docker:label:com.example/Team', values: ['agents'] },
      { key: 'k8s:pod-label:app.kubernetes.io/name', values: ['agent', ''] },
    ]);
  });

  it.each([
    ['docker:image', 'docker', 'docker:image: [a]'],
    ['docker:label:team', 'docker', 'docker:label:team: [a]'],
    ['k8s:ns', 'kubernetes', 'k8s:ns: [a]'],
    ['k8s:pod-label:app', 'kubernetes', 'k8s:pod-label:app: [a] }, { docker:label:team: [a]'],
  ])('%s needs its source, with the next step', (key, name, selectors) => {
    expect(refusals(selecting(selectors))).toContain(
      `5:38 spec.selectors[0]["${key}"]: nothing here can say ${key}; add attestation: { ${name}: {} } to the spec of the Proxy document`,
    );
  });

  it.each<[string, string, string]>([
    [
      'that is misspelled',
      'docker:imege: [a]',
      '10:38 spec.selectors[0]["docker:imege"]: unknown key "docker:imege"; did you mean "docker:image"?',
    ],
    [
      'of a label whose value is a number',
      'docker:label:n: [1]',
      '10:55 spec.selectors[0]["docker:label:n"][0]: 1 is not a text without control characters; write "1" in quotes',
    ],
    [
      'of a label with no list',
      'docker:label:n: a',
      '10:54 spec.selectors[0]["docker:label:n"]: the text "a" is not a list; write [a]',
    ],
    [
      'of a pod label that no pod can have',
      'k8s:pod-label:app: ["a b"]',
      '10:58 spec.selectors[0]["k8s:pod-label:app"][0]: the text "a b" is not the value of a label; for example agents',
    ],
    [
      'of an image with a space',
      'docker:image: ["a b"]',
      `10:53 spec.selectors[0]["docker:image"][0]: the text "a b" is not an image as it was named, or its ID; for example registry.example.com/agent:1.4, sha256:${'0'.repeat(64)}`,
    ],
  ])('%s is refused', (_what, selectors, expected) => {
    expect(refusals(both + selecting(selectors))).toEqual([expected]);
  });

  it.each(['k8s:sa', 'k8s:pod-name', 'k8s:node', 'k8s:container-name', 'k8s:pod-label:app'])(
    '%s is of some namespace',
    (key) => {
      const expected = `10:38 spec.selectors[0]["${key}"]: ${key} could be of any namespace; add k8s:ns`;
      expect(refusals(both + selecting(`${key}: [a]`))).toEqual([expected]);
      expect(refusals(both + selecting(`${key}: [a], k8s:ns: [team-a]`))).toEqual([]);
      expect(refusals(attestation('kubernetes: { namespace: team-a }') + selecting(`${key}: [a]`))).toEqual([]);
    },
  );

  it('of a label without a name is unknown, and what is known has the form of those that have one', () => {
    const [told, ...more] = refusals(both + selecting('"docker:label:": [a]'));
    expect(told).toMatch(/^10:38 .*: unknown key "docker:label:"; known are .*, docker:label:<name>, /);
    expect(told).toContain('k8s:pod-label:<name>');
    expect(more).toEqual([]);
  });

  it('that is unknown and one that is wrong are told at once', () => {
    expect(refusals(both + selecting('docker:imege: [a], docker:label:n: [], unix:uid: [x]'))).toHaveLength(3);
  });

  it('has its form in the JSON Schema too', () => {
    const schema = JSON.stringify(createJsonSchema());
    expect(schema).toContain('"^docker:label:[\\\\x21-\\\\x7e]{1,256}$":{"minItems":1');
  });
});

describe('strength', () => {
  it('is enough by a container, which its control group names', () => {
    expect(warnings(both + selecting('k8s:ns: [team-a]'))).toEqual([]);
    expect(warnings(both + selecting('docker:image: [a], process:name: [python3]'))).toEqual([]);
  });

  it('of the address of a pod alone is what the operator says it is, and every start says so', () => {
    const selectors = selecting('k8s:ns: [team-a]');
    const besideToken = attestation(
      'kubernetes: { podAddress: beside-token }, kubernetesTokens: { audience: [a], review: {} }',
    );
    expect(warnings(besideToken + selectors)).toEqual([]);
    expect(warnings(byAddress('trusted') + selectors)).toEqual([
      '5:50 spec.attestation.kubernetes.podAddress: whoever can send from the address of a pod is that pod; keep it only where the CNI stops spoofed sources',
    ]);
  });
});
