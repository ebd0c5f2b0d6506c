/**
 * Duty: what happens to leases, for Prometheus.
 * Holds: labels are names of sources from the policy, kinds and codes of the tables: bounded; no workload, no lease id.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { LeaseListing } from '../credential/credential.ts';
import type { LeaseEvent } from '../credential/lease-event.ts';

export type LeaseCounters = (event: LeaseEvent) => void;

export function createLeaseMetrics(
  registry: Registry,
  list: () => readonly Pick<LeaseListing, 'source' | 'state' | 'remainingMs'>[],
): LeaseCounters {
  const registers = [registry];
  const events = new Counter({
    registers,
    name: 'countersign_lease_events_total',
    help: 'Leases obtained, renewed, failed, expired, invalidated by an upstream, revoked, revoke_failed',
    labelNames: ['source', 'event'] as const,
  });
  const failures = new Counter({
    registers,
    name: 'countersign_lease_failures_total',
    help: 'Attempts to obtain a lease that failed, by code',
    labelNames: ['source', 'code'] as const,
  });
  new Gauge({
    registers,
    name: 'countersign_lease_seconds_to_expiry',
    help: 'Of the lease of a source that ends first, among those that requests get',
    labelNames: ['source'] as const,
    collect() {
      this.reset();
      const soonest = new Map<string, number>();
      for (const { source, state, remainingMs } of list())
        if (state === 'current') soonest.set(source, Math.min(soonest.get(source) ?? Infinity, remainingMs));
      for (const [source, ms] of soonest) this.labels(source).set(ms / 1_000);
    },
  });
  return ({ kind, source, code }) => {
    events.labels(source, kind).inc();
    if (code !== null) failures.labels(source, code).inc();
  };
}
