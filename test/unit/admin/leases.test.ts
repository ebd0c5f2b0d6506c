import { describe, expect, it } from 'vitest';
import { leasesFor } from '../../../src/admin/lease-calls.ts';
import { createMetrics } from '../../../src/admin/metrics.ts';
import type { LeaseListing } from '../../../src/credential/credential.ts';
import type { LeaseEvent } from '../../../src/credential/lease-event.ts';

const lease = (more: Partial<LeaseListing> = {}): LeaseListing => ({
  ...{ workload: 'agent', instance: null, binding: 'openai', source: 'vault', generation: 1, inUse: 0 },
  ...{ state: 'current', ageMs: 1_000, remainingMs: 60_000 },
  lease: { idPrefix: 'openai/creds/agents/abcd', accessor: 'acc', expiresAt: 1, renewable: false },
  ...more,
});

const event = (kind: LeaseEvent['kind'], code: LeaseEvent['code'] = null): LeaseEvent => ({
  ...{ kind, code, workload: 'agent', instance: null, binding: 'openai', source: 'vault', generation: 1, lease: null },
});

const none = { openConnections: () => 0, liveLeases: () => 0, liveInstances: () => 0 };

describe('GET /v1/leases', () => {
  const all = [lease({ remainingMs: 9 }), lease({ workload: 'other', remainingMs: 3 }), lease({ instance: 'i-1' })];
  const asked = (query: string) => leasesFor(new URLSearchParams(query), all).leases;

  it('gives those that fit, the one that ends first at the top', () => {
    expect(asked('').map(({ remainingMs }) => remainingMs)).toEqual([3, 9, 60_000]);
    expect(asked('workload=other')).toEqual([all[1]]);
    expect(asked('workload=agent&instance=i-1')).toEqual([all[2]]);
    expect(asked('source=nothing')).toEqual([]);
  });

  it.each(['workloads=agent', 'workload=a&workload=b'])('refuses ?%s', (query) => {
    expect(() => asked(query)).toThrow(expect.objectContaining({ code: 'request_malformed' }));
  });
});

describe('the metrics of leases', () => {
  it('count what happened, and say when the first of each source ends', async () => {
    const leases = [lease(), lease({ remainingMs: 30_500 }), lease({ remainingMs: 5, state: 'draining' })];
    const metrics = createMetrics({ ...none, leases: () => leases });
    for (const kind of ['obtained', 'renewed', 'revoked', 'revoke_failed'] as const) metrics.lease(event(kind));
    metrics.lease(event('failed', 'credential_denied'));
    const text = await metrics.text();
    for (const kind of ['obtained', 'renewed', 'revoked', 'revoke_failed', 'failed'])
      expect(text).toContain(`countersign_lease_events_total{source="vault",event="${kind}"} 1`);
    expect(text).toContain('countersign_lease_failures_total{source="vault",code="credential_denied"} 1');
    expect(text).toContain('countersign_lease_seconds_to_expiry{source="vault"} 30.5');
    leases.length = 0;
    expect(await metrics.text()).not.toContain('countersign_lease_seconds_to_expiry{');
  });

  it('are not there where the leases are elsewhere', async () => {
    const metrics = createMetrics(none);
    metrics.lease(event('obtained'));
    expect(await metrics.text()).not.toContain('countersign_lease_');
  });
});
