/**
 * Duty: bindings whose source names the instance must give each instance a lease of its own.
 * Holds: a shared lease is obtained as the workload; a role or path with an instance in it would fail at the first request.
 */
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { CompiledBinding } from './compiled-binding.ts';
import { type ProblemList, quoted } from './problems.ts';

const NAMES_INSTANCE = /\{\{\s*workload\.instance\s*\}\}/;
const AT = ['spec', 'credentialSource'];

/** Wherever it stands in a source, it is a template: no other text may have braces. */
export const namesInstance = (source: CredentialSourceOptions): boolean => NAMES_INSTANCE.test(JSON.stringify(source));

export function checkPerInstance(
  bindings: readonly CompiledBinding[],
  sources: readonly CredentialSourceOptions[],
  problems: ProblemList,
): void {
  const naming = new Set(sources.filter(namesInstance).map(({ name }) => name));
  for (const { injected, source } of bindings) {
    if (injected === null || injected.perInstance === true || !naming.has(injected.source)) continue;
    problems.add(
      source.raw.at(AT),
      AT,
      `the CredentialSource ${quoted(injected.source)} names {{workload.instance}}, and all instances share the lease of this binding`,
      'write perInstance: true',
    );
  }
}
