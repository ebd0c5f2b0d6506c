import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { parseConfiguration } from '../../../src/config/parse.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';

const document = (kind: string, name: string, spec: string): string =>
  `apiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

const load = (...documents: string[]) =>
  parseConfiguration([{ name: 'policy.yaml', text: documents.join('---\n') }], { presets: PRESETS });

function problemsOf(...documents: string[]): string[] {
  try {
    load(...documents);
  } catch (thrown) {
    if (thrown instanceof ConfigurationError) return thrown.problems.map(({ message }) => message);
    throw thrown;
  }
  return [];
}

const world = (binding: string, role = 'r', path = 'openai/creds/{{workload.instance}}'): string[] => [
  document('Service', 'api', '{ addresses: [{ address: api.openai.com }], provider: openai }'),
  document('WorkloadIdentity', 'agent', '{ workloadID: agent }'),
  document(
    'CredentialSource',
    'vault',
    `{ vault: { address: "https://vault.test", role: "${role}", path: "${path}" } }`,
  ),
  document('CredentialBinding', 'b', `{ workloadID: agent, credentialSource: vault, services: [api]${binding} }`),
];

describe('perInstance', () => {
  it('is told of a binding that says so, and of no other', () => {
    expect(load(...world(', perInstance: true', 'r', 'p')).policy.bindings[0]).toMatchObject({ perInstance: true });
    for (const binding of ['', ', perInstance: false'])
      expect(load(...world(binding, 'r', 'p')).policy.bindings[0]).not.toHaveProperty('perInstance');
  });

  it.each([
    ['r', 'kv/{{workload.instance}}'],
    ['of-{{ workload.instance }}', 'p'],
  ])('is required where the source names the instance (role %s, path %s)', (role, path) => {
    expect(problemsOf(...world('', role, path))).toEqual([
      expect.stringMatching(/the CredentialSource "vault" names \{\{workload\.instance\}\}.*share the lease/),
    ]);
    expect(problemsOf(...world(', perInstance: true', role, path))).toEqual([]);
  });
});

describe('the times of instances', () => {
  const instancesOf = (spec: string) => load(document('Proxy', 'p', spec)).proxy.instances;

  it('have defaults, and a default that is never beyond the longest', () => {
    expect(instancesOf('{}')).toEqual({ defaultTtlMs: 600_000, maxTtlMs: 86_400_000, graceMs: 30_000 });
    expect(instancesOf('{ instances: { maxTtl: 5m } }')).toMatchObject({ defaultTtlMs: 300_000, maxTtlMs: 300_000 });
    expect(instancesOf('{ instances: { defaultTtl: 1m, maxTtl: 168h, grace: 1s } }')).toEqual({
      defaultTtlMs: 60_000,
      maxTtlMs: 604_800_000,
      graceMs: 1_000,
    });
  });

  it.each([
    ['{ defaultTtl: 2h, maxTtl: 1h }', /2h is out of bounds/],
    ['{ maxTtl: 169h }', /169h is out of bounds/],
    ['{ grace: 2h }', /2h is out of bounds/],
    ['{ ttl: 1h }', /unknown key "ttl"/],
  ])('%s is refused', (instances, message) => {
    expect(problemsOf(document('Proxy', 'p', `{ instances: ${instances} }`))).toEqual([expect.stringMatching(message)]);
  });
});

describe('the name of a workload', () => {
  it('is not the proxy’s own', () => {
    expect(problemsOf(document('WorkloadIdentity', 'agent', '{ workloadID: countersign/janitor }'))).toEqual([
      expect.stringMatching(/is the proxy's own name/),
    ]);
  });

  it.each(['i-0123456789abcdef', 'agent/i-0123456789abcdef'])('is not %s, which could be an instance', (workload) => {
    expect(problemsOf(document('WorkloadIdentity', 'agent', `{ workloadID: ${workload} }`))).toEqual([
      expect.stringMatching(/ends like the id of an instance/),
    ]);
  });

  it.each(['i-0123456789abcdef/agent', 'i-0123456789abcde', 'i-0123456789abcdef0', 'i-0123456789ABCDEF'])(
    'may be %s, which could not',
    (workload) => {
      expect(problemsOf(document('WorkloadIdentity', 'agent', `{ workloadID: ${workload} }`))).toEqual([]);
    },
  );
});
