/**
 * Duty: hop 5, as the spine calls it.
 * In → Out: Permit → Credential, or null where the permit has no binding.
 * Holds: only what a permit or a delivery of the configuration names is obtained, and only as its own workload; the two share no
 *   lease.
 * Fails: `credential_*`, `configuration_invalid`, `draining`, `downstream_aborted`.
 * Not here: leases (lease-cache.ts), where credentials come from (sources/).
 */
import type { Clock } from '../core/clock.ts';
import type { Workload } from '../workload/workload.ts';
import type { BindingStanding, CredentialStage, DeliveryOrder } from './credential.ts';
import { DELIVERY_SIGN, LeaseCache } from './lease-cache.ts';
import type { LeaseEvent } from './lease-event.ts';
import type { CredentialSource } from './source.ts';
import { SourceDirectory, type SourceDirectoryOptions } from './sources/directory.ts';
import { Janitor, type OrphanReport } from './sources/janitor.ts';

export type { LeaseEvent } from './lease-event.ts';

export interface LeaseOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads replacements and retries. */
  readonly random: () => number;
  /** 64 where left out. */
  readonly maxLeasesPerWorkload?: number;
  /** 20,000 where left out. */
  readonly maxLeasesPerSource?: number;
  /** For the log and the metrics; must not throw. */
  readonly observe?: (event: LeaseEvent) => void;
  /** The key of a credential that no new exchange may get, for who keeps a copy of it; must not throw. */
  readonly onRetired?: (key: string) => void;
}

/** The sources that `find` knows; one that is another object than before starts with new leases. */
export interface Sources {
  /** `form` as in `DeliveryOrder`; parts where it is left out. */
  find(name: string, form?: DeliveryOrder['form']): CredentialSource;
  close(): Promise<void>;
}

const deliveredBinding = ({ binding, way }: DeliveryOrder): string => `${binding}${DELIVERY_SIGN}${way}`;

/** Who revokes what a run before has left, and how that went. */
export interface OrphanOptions {
  /** The proxy as a workload of its own. */
  readonly self: Workload;
  /** Must not throw. */
  readonly report: (report: OrphanReport) => void;
}

export function createCredentialStage(
  options: Omit<SourceDirectoryOptions, 'changed'> & LeaseOptions & { readonly orphans?: OrphanOptions },
): CredentialStage {
  const { clock, random, journal, orphans } = options;
  const sources = new SourceDirectory({ ...options, changed: (name) => void stage.rotate(name) });
  let janitor: Janitor | null = null;
  const observe = (event: LeaseEvent): void => {
    options.observe?.(event);
    if (event.kind === 'revoke_failed') janitor?.wake();
  };
  const stage = createStageOver(sources, { ...options, observe });
  if (journal === undefined || orphans === undefined) return stage;
  const sourceOf = (name: string) => sources.vaultOf(name);
  janitor = new Janitor({ ...orphans, journal, clock, random, sourceOf });
  void janitor.sweep();
  return {
    ...stage,
    close: (deadlineMs) => {
      janitor?.close();
      return stage.close(deadlineMs);
    },
  };
}

export function createStageOver(sources: Sources, options: LeaseOptions): CredentialStage {
  const cache = new LeaseCache({
    clock: options.clock,
    random: options.random,
    maxLeasesPerWorkload: options.maxLeasesPerWorkload ?? 64,
    maxLeasesPerSource: options.maxLeasesPerSource ?? 20_000,
    observe: options.observe ?? (() => {}),
    onRetired: options.onRetired ?? (() => {}),
  });
  return {
    obtain: async (permit, signal) => {
      const { binding, workload } = permit.facts;
      return binding === null ? null : cache.obtain(workload, binding, sources.find(binding.source), signal);
    },
    release: (credential) => cache.release(credential),
    invalidate: (credential) => cache.invalidate(credential),
    deliver: async (order, signal) => {
      const { workload, source, form } = order;
      return cache.obtain(workload, { name: deliveredBinding(order) }, sources.find(source, form), signal);
    },
    endDelivery: (order) => cache.revokeBinding(order.workload.name, deliveredBinding(order)),
    revokeInstance: (instance) => cache.revokeInstance(instance),
    retireShared: (workload) => cache.retireShared(workload),
    rotate: (source) => cache.rotate(source),
    close: async (deadlineMs) => {
      const counts = await cache.close(deadlineMs);
      await sources.close();
      return counts;
    },
    list: () => cache.list(),
    standings: () =>
      cache.standings().map((standing) => {
        const [binding = '', way = 'injection'] = standing.binding.split(DELIVERY_SIGN) as [
          string,
          BindingStanding['way']?,
        ];
        return { ...standing, binding, way };
      }),
  };
}
