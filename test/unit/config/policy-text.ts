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
