import { describe, expect, it } from 'vitest';
import { bindingStatus } from '../../../src/admin/status.ts';
import { EgressError } from '../../../src/core/errors.ts';
import type { BindingStanding } from '../../../src/credential/credential.ts';
import type { DeliveryListing } from '../../../src/delivery/deliveries.ts';
import { binding, identity, load, OPENAI, proxy, service, source } from '../config/policy-text.ts';

const LEASE = { idPrefix: 'openai/creds/w/abc', accessor: 'acc', expiresAt: 2_000, renewable: false };
const failure = new EgressError('credential_denied', { detail: 'refused', cause: new Error('canary') });
const configuration = load(
  proxy('{ trustDomain: example.org }') +
    service(OPENAI) +
    identity('{ workloadID: w, selectors: [{ unix:uid: [1001] }] }') +
    source() +
    binding('services: [s], propagation: { injection: {}, file: {} }') +
    binding('propagation: { file: { path: /run/x/key } }', 'filed'),
);
const leaseOf = (more: Partial<BindingStanding>): BindingStanding => ({
  ...{ workload: 'w', instance: null, binding: 'b', source: 'c', way: 'injection' },
  ...{ lease: null, generation: 0, isPending: false, error: null, changedAt: 1_000 },
  ...more,
});
const deliveryOf = (more: Partial<DeliveryListing>): DeliveryListing => ({
  ...{ binding: 'filed', workload: 'w', source: 'c', way: 'file', path: '/run/x/key' },
  ...{ lease: null, generation: null, error: null, changedAt: 1_000 },
  ...more,
});
const rows = (leases: readonly BindingStanding[], deliveries: readonly DeliveryListing[] = []) =>
  bindingStatus(configuration, { leases, deliveries });

describe('the status of bindings', () => {
  it('has a row for each, also where nothing has happened', () => {
    expect(rows([])).toEqual([
      {
        ...{ binding: 'b', workload: 'w', spiffeId: 'spiffe://example.org/w', instance: null, way: 'injection' },
        ...{ services: ['s'], source: 'c', state: 'Idle', reason: null, generation: null, lease: null, path: null },
        changedAt: null,
      },
      expect.objectContaining({ binding: 'b', way: 'file', state: 'Idle', path: null }),
      expect.objectContaining({ binding: 'filed', way: 'file', services: [], path: '/run/x/key' }),
    ]);
  });

  it('has a row for each instance that asked', () => {
    const seen = rows([leaseOf({ instance: 'i-1', lease: LEASE, generation: 3 }), leaseOf({ instance: 'i-2' })]);
    expect(seen.filter(({ way }) => way === 'injection')).toMatchObject([
      { instance: 'i-1', state: 'Ready', generation: 3, lease: LEASE, changedAt: 1_000 },
      { instance: 'i-2', state: 'Idle', generation: null },
    ]);
  });

  it.each<[string, Partial<BindingStanding>, object]>([
    ['Ready', { lease: LEASE }, { state: 'Ready', reason: null }],
    ['Ready, with what is wrong', { lease: LEASE, error: failure }, { state: 'Ready', reason: { detail: 'refused' } }],
    ['Pending', { isPending: true }, { state: 'Pending' }],
    ['Pending again', { isPending: true, error: failure }, { state: 'Pending' }],
    ['Failed', { error: failure }, { state: 'Failed', reason: { code: 'credential_denied', detail: 'refused' } }],
    ['Idle', {}, { state: 'Idle', reason: null }],
  ])('says %s of a lease', (_state, standing, expected) => {
    const [row] = rows([leaseOf(standing)]);
    expect(row).toMatchObject(expected);
    expect(JSON.stringify(row)).not.toContain('canary');
  });

  it.each<[string, Partial<DeliveryListing>, Partial<BindingStanding>, object]>([
    ['Pending', {}, {}, { state: 'Pending', path: '/run/x/key' }],
    ['Ready', { lease: LEASE, generation: 2 }, {}, { state: 'Ready', lease: LEASE, generation: 2, reason: null }],
    [
      'Ready, though it cannot be replaced',
      { lease: LEASE },
      { error: failure },
      { state: 'Ready', reason: { detail: 'refused' } },
    ],
    ['Failed', { error: failure }, {}, { state: 'Failed', reason: { code: 'credential_denied' } }],
  ])('says %s of a file', (_state, delivery, lease, expected) => {
    const seen = rows([leaseOf({ binding: 'filed', way: 'file', ...lease })], [deliveryOf(delivery)]);
    expect(seen.find(({ binding: name }) => name === 'filed')).toMatchObject(expected);
    expect(seen.find(({ way }) => way === 'injection')).toMatchObject({ state: 'Idle' });
  });
});
