/**
 * Duty: hop 5, as the spine calls it.
 * In → Out: Permit → Credential, or null where the permit has no binding.
 * Holds: only what a permit names is obtained, and only as the permit's own workload.
 * Fails: `credential_*`, `configuration_invalid`, `draining`, `downstream_aborted`.
 * Not here: leases (lease-cache.ts), where credentials come from (sources/).
 */
import type { Clock } from '../core/clock.ts';
import type { CredentialStage } from './credential.ts';
import { LeaseCache, type LeaseEvent } from './lease-cache.ts';
import type { CredentialSource } from './source.ts';
import { SourceDirectory, type SourceDirectoryOptions } from './sources/directory.ts';

export type { LeaseEvent } from './lease-cache.ts';

export interface LeaseOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads replacements and retries. */
  readonly random: () => number;
  /** 64 where left out. */
  readonly maxLeasesPerWorkload?: number;
  /** For the log and the metrics; must not throw. */
  readonly observe?: (event: LeaseEvent) => void;
  /** The key of a credential that no new exchange may get, for who keeps a copy of it; must not throw. */
  readonly onRetired?: (key: string) => void;
}

/** The sources that `find` knows; one that is another object than before starts with new leases. */
export interface Sources {
  find(name: string): CredentialSource;
  close(): Promise<void>;
}

export function createCredentialStage(options: SourceDirectoryOptions & LeaseOptions): CredentialStage {
  return createStageOver(new SourceDirectory(options), options);
}

export function createStageOver(sources: Sources, options: LeaseOptions): CredentialStage {
  const cache = new LeaseCache({
    clock: options.clock,
    random: options.random,
    maxLeasesPerWorkload: options.maxLeasesPerWorkload ?? 64,
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
    revokeInstance: (instance) => cache.revokeInstance(instance),
    retireShared: (workload) => cache.retireShared(workload),
    close: async (deadlineMs) => {
      const counts = await cache.close(deadlineMs);
      await sources.close();
      return counts;
    },
    list: () => cache.list(),
  };
}
