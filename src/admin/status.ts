/**
 * Duty: how it stands with the proxy and each of its bindings, for whoever operates it.
 * In → Out: configuration, standings of leases and deliveries → one row for each binding, and for each instance that used it.
 * Holds: names, codes, safe details, prefixes of lease ids; no secret can be in it, for none comes in.
 * Not here: how it is shown (cli/status.ts).
 */
import type { BindingStatus } from '../client/answers.ts';
import type { Configuration } from '../config/configuration.ts';
import type { EgressError } from '../core/errors.ts';
import { createSpiffeId } from '../core/spiffe-id.ts';
import type { BindingStanding } from '../credential/credential.ts';
import type { DeliveryListing } from '../delivery/deliveries.ts';

export interface Standings {
  readonly leases: readonly BindingStanding[];
  readonly deliveries: readonly DeliveryListing[];
}

type Subject = Pick<
  BindingStatus,
  'binding' | 'workload' | 'spiffeId' | 'instance' | 'way' | 'services' | 'source' | 'path'
>;

export function bindingStatus(
  { proxy, policy, deliveries }: Pick<Configuration, 'proxy' | 'policy' | 'deliveries'>,
  standings: Standings,
): BindingStatus[] {
  const spiffeIdOf = (workload: string): string => createSpiffeId(proxy.trustDomain, `/${workload}`).uri;
  const injected = policy.bindings.flatMap(({ name: binding, workload, source, services }) => {
    const subject: Subject = {
      ...{ binding, workload, source, services, spiffeId: spiffeIdOf(workload) },
      ...{ instance: null, way: 'injection', path: null },
    };
    const found = standings.leases.filter((each) => isOf(each, subject));
    return found.length === 0 ? [idle(subject)] : found.map((each) => ofLease(subject, each));
  });
  const delivered = deliveries.map(({ binding, workload, source, services, path, way }) => {
    const subject: Subject = {
      ...{ binding, workload, source, services, spiffeId: spiffeIdOf(workload) },
      ...{ instance: null, way, path },
    };
    const found = standings.deliveries.find((each) => each.binding === binding && each.way === way);
    // The file may be good while its lease cannot be replaced.
    const lease = standings.leases.find((each) => isOf(each, subject));
    return found === undefined ? idle(subject) : ofDelivery(subject, found, lease?.error ?? null);
  });
  return [...injected, ...delivered];
}

const idle = (subject: Subject): BindingStatus => ({
  ...subject,
  state: 'Idle',
  reason: null,
  generation: null,
  lease: null,
  changedAt: null,
});

function ofLease(
  subject: Subject,
  { instance, lease, isPending, error, generation, changedAt }: BindingStanding,
): BindingStatus {
  const state = lease !== null ? 'Ready' : isPending ? 'Pending' : error !== null ? 'Failed' : 'Idle';
  return {
    ...subject,
    instance,
    state,
    reason: reasonOf(error),
    generation: generation === 0 ? null : generation,
    lease,
    changedAt,
  };
}

function ofDelivery(
  subject: Subject,
  { path, lease, generation, error, changedAt }: DeliveryListing,
  leaseError: EgressError | null,
): BindingStatus {
  const state = lease !== null ? 'Ready' : error !== null ? 'Failed' : 'Pending';
  return { ...subject, path, state, reason: reasonOf(error ?? leaseError), generation, lease, changedAt };
}

const isOf = ({ binding, workload, way }: BindingStanding, subject: Subject): boolean =>
  binding === subject.binding && workload === subject.workload && way === subject.way;

const reasonOf = (error: EgressError | null): BindingStatus['reason'] =>
  error === null ? null : { code: error.code, detail: error.detail };
