/**
 * Duty: warns of documents that lead to nothing.
 * Not here: documents that contradict each other (ambiguity.ts, compile-*.ts).
 */
import type { EgressPolicyOptions } from '../policy/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { CompiledService } from './compile-service.ts';
import type { CompiledBinding } from './compiled-binding.ts';
import { namespaceOf, qualify } from './names.ts';
import type { ProblemList } from './problems.ts';

export interface Uses {
  readonly services: readonly CompiledService[];
  readonly identities: readonly ShapedAs<'WorkloadIdentity'>[];
  readonly bindings: readonly CompiledBinding[];
  readonly policies: readonly EgressPolicyOptions[];
  readonly presets: readonly ShapedAs<'Preset'>[];
}

const NAME = ['metadata', 'name'];

export function warnOfIdleDocuments(
  { services, identities, bindings, policies, presets }: Uses,
  problems: ProblemList,
): void {
  const bound = bindings.flatMap(({ injected, deliveries }) => [
    ...(injected === null ? [] : [injected]),
    ...deliveries,
  ]);
  const workloads = new Set(bound.map(({ workload }) => workload));
  const used = new Set(bound.flatMap((each) => each.services));
  let isEveryServiceUsed = false;
  for (const rule of policies.flatMap(({ rules }) => rules)) {
    if (rule.services === null) isEveryServiceUsed = true;
    for (const name of rule.services ?? []) used.add(name);
  }
  for (const { document, raw } of identities) {
    const workload = qualify(namespaceOf(document.metadata), document.spec.workloadID);
    if (!workloads.has(workload)) problems.warn(raw.at(NAME), NAME, `no binding gives ${workload} a credential`);
  }
  const named = new Set(services.map(({ options }) => options.preset?.name));
  for (const { document, raw } of presets) {
    const name = qualify(namespaceOf(document.metadata), document.metadata.name);
    if (!named.has(name)) problems.warn(raw.at(NAME), NAME, `no Service has the provider ${name}`);
  }
  for (const { options, source } of isEveryServiceUsed ? [] : services) {
    if (!used.has(options.name))
      problems.warn(source.raw.at(NAME), NAME, `no binding and no rule uses the Service ${options.name}`);
  }
}
