/**
 * Duty: a permit that another process of this proxy made, made again from its names.
 * In → Out: revision, workload, names → the permit, or null where the revision grants no such thing.
 * Holds: binding, rule and limits are the revision's own; what is not granted to this very workload is not made again.
 * Not here: the decision (decide.ts), which was made with the request at hand.
 */
import type { Authority } from '../core/authority.ts';
import type { Workload } from '../workload/workload.ts';
import type { BindingOptions, EgressPolicyOptions, PolicyRevision } from './options.ts';
import { PERMIT_KEY, Permit } from './permit.ts';
import { matchScope } from './scope.ts';

export interface GrantedNames {
  readonly authority: Authority;
  readonly service: string;
  readonly binding: string | null;
  readonly rule: string;
}

export function permitAgain(revision: PolicyRevision, workload: Workload, names: GrantedNames): Permit | null {
  const service = revision.services.find(({ name }) => name === names.service);
  const binding = names.binding === null ? null : bindingOf(revision, workload, names);
  const policy = policyOf(revision, workload, names.rule);
  // Without a policy for the workload its binding stands in for the rule.
  const isByBinding = /^binding:/.test(names.rule) && !isGoverned(revision, workload);
  const isInScope = workload.scope === undefined || matchScope(workload.scope, names.service, null).kind === 'met';
  if (!isInScope || service === undefined || binding === undefined || (policy === undefined && !isByBinding))
    return null;
  return new Permit(PERMIT_KEY, {
    workload,
    authority: names.authority,
    service,
    binding,
    rule: names.rule,
    limits: policy?.limits ?? { requests: null, concurrent: null },
    mask: policy?.mask ?? [],
    revision: revision.id,
  });
}

function bindingOf({ bindings }: PolicyRevision, workload: Workload, names: GrantedNames): BindingOptions | undefined {
  return bindings.find(
    (each) => each.name === names.binding && each.workload === workload.name && each.services.includes(names.service),
  );
}

function policyOf({ policies }: PolicyRevision, workload: Workload, rule: string): EgressPolicyOptions | undefined {
  return policies.find(
    ({ workloads, rules }) =>
      workloads.includes(workload.name) && rules.some(({ id, action }) => id === rule && action === 'allow'),
  );
}

const isGoverned = ({ policies }: PolicyRevision, workload: Workload): boolean =>
  policies.some(({ workloads }) => workloads.includes(workload.name));
