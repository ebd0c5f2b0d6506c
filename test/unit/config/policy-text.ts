/** Duty: short policy documents for tests, and what a load says of them. */
import type { Configuration } from '../../../src/config/configuration.ts';
import { ConfigurationError, type ConfigurationProblem } from '../../../src/config/configuration-error.ts';
import { parseConfiguration } from '../../../src/config/parse.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';

const API = 'apiVersion: countersign.dev/v1alpha1';

/** Five lines: `---`, apiVersion, kind, metadata, spec. */
export function documentOf(kind: string, name: string, spec: string): string {
  return `---\n${API}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}

export const proxy = (spec: string, name = 'node-1'): string => documentOf('Proxy', name, spec);
export const service = (spec: string, name = 's'): string => documentOf('Service', name, spec);
export const identity = (spec = '{ workloadID: w }', name = 'w'): string => documentOf('WorkloadIdentity', name, spec);
export const source = (spec = '{ vault: { address: "https://v:8200", role: r, path: kv/x } }', name = 'c'): string =>
  documentOf('CredentialSource', name, spec);
export const binding = (rest = 'services: [s]', name = 'b'): string =>
  documentOf('CredentialBinding', name, `{ workloadID: w, credentialSource: c, ${rest} }`);
export const policy = (rules: string, rest = ''): string =>
  documentOf('EgressPolicy', 'p', `{ workloads: [w], rules: [${rules}]${rest} }`);

export const OPENAI = '{ addresses: [{ address: api.openai.com, port: 443 }], provider: openai }';
export const AWS = '{ addresses: [{ address: sts.amazonaws.com }], provider: aws }';
export const PLAIN = '{ addresses: [{ address: api.example.test }] }';
/** Fifteen lines: service, identity, source; a binding after them has its spec on line 20. */
export const world = (spec = OPENAI): string => service(spec) + identity() + source();

/** The four documents of the walk-through: an agent, where it may go, a source of keys and their binding. */
export const WALK_THROUGH = `apiVersion: countersign.dev/v1alpha1
kind: Service                       # where a workload may go
metadata: { name: openai-api, labels: { app: openai-api } }
spec:
  addresses: [{ address: api.openai.com, port: 443 }]
  external: true
  provider: openai
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: ai-agent }
spec:
  scope: { agent: { id: node-1 } }
  workloadID: ai-agent
  selectors:
    - process:name: [python3]
    - unix:uid: [1001]
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: vault-openai-apikeys }
spec:
  vault:
    address: http://localhost:8200
    namespace: team-a
    jwtAuthMethodPath: jwt
    role: openai-apikeys
    path: openai/creds/my-role
    audience: [vault]
    fields: { key: api_key }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: vault-openai-apikeys-binding }
spec:
  workloadID: ai-agent
  credentialSource: vault-openai-apikeys
  services: [openai-api]
  propagation:
    injection: {}
`;

export const load = (text: string): Configuration =>
  parseConfiguration([{ name: 'p.yaml', text }], { presets: PRESETS, defaults: { stateDirectory: '/state' } });

export function problemsOf(text: string): readonly ConfigurationProblem[] {
  try {
    load(text);
  } catch (thrown) {
    if (thrown instanceof ConfigurationError) return thrown.problems;
    throw thrown;
  }
  return [];
}

/** Each as `line:column path: message; hint`. */
export const refusals = (text: string): string[] =>
  problemsOf(text).map(({ line, column, path, message, hint }) => `${line}:${column} ${path}: ${message}; ${hint}`);

export const warnings = (text: string): string[] =>
  load(text).warnings.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
