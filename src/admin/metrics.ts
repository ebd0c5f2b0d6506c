/**
 * Duty: counters and gauges for Prometheus.
 * Holds: label values come from the policy and the tables of core/, never from the wire, so their number is bounded.
 * Source: Prometheus exposition format 0.0.4; names after the conventions of prometheus.io/docs/practices/naming.
 */

import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { LeaseListing } from '../credential/credential.ts';
import type { LeaseEvent } from '../credential/lease-event.ts';
import { createLeaseMetrics } from './lease-metrics.ts';

export interface Metrics {
  exchange(service: string, outcome: string, seconds: number, scrubbed: number): void;
  refusal(code: string): void;
  /** Something happened to a lease; counted where `leases` was given. */
  lease(event: LeaseEvent): void;
  text(): Promise<string>;
  /** For `sumMetrics`. */
  json(): Promise<string>;
}

export interface MetricSources {
  openConnections(): number;
  liveLeases(): number;
  liveInstances(): number;
  /** Only where this process has the leases. */
  leases?(): readonly Pick<LeaseListing, 'source' | 'state' | 'remainingMs'>[];
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
const LATENCY_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const exchanges = new Counter({
    registers,
    name: 'countersign_exchanges_total',
    help: 'Requests by service and outcome',
    labelNames: ['service', 'outcome'] as const,
  });
  const duration = new Histogram({
    registers,
    name: 'countersign_exchange_duration_seconds',
    help: 'From request head to last response byte',
    buckets: LATENCY_BUCKETS_S,
    labelNames: ['service'] as const,
  });
  const refusals = new Counter({
    registers,
    name: 'countersign_refusals_total',
    help: 'Connections that never came to a request',
    labelNames: ['code'] as const,
  });
  const scrubs = new Counter({
    registers,
    name: 'countersign_scrubbed_total',
    help: 'Secrets taken out of responses',
    labelNames: ['service'] as const,
  });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      registers,
      name,
      help,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('countersign_open_connections', 'Connections of workloads', sources.openConnections);
  gauge('countersign_leases', 'Live leases', sources.liveLeases);
  gauge('countersign_instances', 'Instances of workloads, those in their grace included', sources.liveInstances);

  // Looking a child up by labels hashes them; the request path keeps the children instead.
  const counters = new Map<string, Counter.Internal>();
  const histograms = new Map<string, Histogram.Internal<'service'>>();
  return {
    exchange: (service, outcome, seconds, scrubbed) => {
      const key = `${service} ${outcome}`;
      const counter = counters.get(key) ?? exchanges.labels(service, outcome);
      const histogram = histograms.get(service) ?? duration.labels(service);
      counters.set(key, counter);
      histograms.set(service, histogram);
      counter.inc();
      histogram.observe(seconds);
      if (scrubbed > 0) scrubs.labels(service).inc(scrubbed);
    },
    lease: sources.leases === undefined ? () => {} : createLeaseMetrics(registry, sources.leases),
    refusal: (code) => refusals.labels(code).inc(),
    text: () => registry.metrics(),
    json: async () => JSON.stringify(await registry.getMetricsAsJSON()),
  };
}

/** Metrics of several processes as those of one, each added up as its kind wants it. */
export async function sumMetrics(parts: readonly string[]): Promise<{ readonly text: string; readonly json: string }> {
  const sum = AggregatorRegistry.aggregate(parts.map((part) => JSON.parse(part) as object[]));
  return { text: await sum.metrics(), json: JSON.stringify(await sum.getMetricsAsJSON()) };
}

/** What only grows: it must not shrink when the process that counted it ends. */
export function totalsOf(part: string): string {
  const metrics = JSON.parse(part) as { readonly name: string; readonly type: string }[];
  return JSON.stringify(
    metrics.filter(({ name, type }) => name.startsWith('countersign_') && (type === 'counter' || type === 'histogram')),
  );
}
