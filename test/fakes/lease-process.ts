/**
 * Duty: the lease engine alone in a process of its own, to be killed: sources, cache, journal and janitor of the product.
 * In → Out: `LeaseOrder` as its one argument → leases for one new workload after the other, `swept` on standard output when the
 *   janitor has told, until it is killed.
 */
import { join } from 'node:path';
import { createSpiffeId } from '../../src/core/spiffe-id.ts';
import { type CredentialSourceOptions, JANITOR_NAME } from '../../src/credential/options.ts';
import { createCredentialStage } from '../../src/credential/stage.ts';
import { openLeaseJournal } from '../../src/store/lease-journal.ts';
import { systemClock } from '../../src/system-clock.ts';
import { mintWith, VAULT_ALONE } from '../unit/credential/lease-world.ts';
import { permit, workload } from '../unit/credential/permits.ts';

export interface LeaseOrder {
  readonly folder: string;
  readonly keyPem: string;
  readonly sources: readonly CredentialSourceOptions[];
  /** How many workloads; then it waits. */
  readonly workloads: number;
}

const order = JSON.parse(process.argv[2] ?? '{}') as LeaseOrder;
const journal = openLeaseJournal({
  ...{ path: join(order.folder, 'leases.journal'), ownUid: process.getuid?.() ?? 0, clock: systemClock },
  onFailure: (error) => process.stderr.write(`${error.message}\n`),
});
const self = { ...workload(JANITOR_NAME), spiffeId: createSpiffeId('example.org', `/${JANITOR_NAME}`) };
const hadOrphans = journal.orphans().length > 0;
const stage = createCredentialStage({
  ...VAULT_ALONE,
  ...{ sources: () => order.sources, clock: systemClock, random: Math.random, sandboxVaultAddress: null, journal },
  mintToken: (caller) => mintWith(order.keyPem, caller.name, systemClock),
  orphans: {
    self,
    report: ({ left, reason }) => process.stdout.write(left === 0 ? 'swept\n' : `left ${left} ${reason}\n`),
  },
});
if (!hadOrphans) process.stdout.write('swept\n');
const never = new AbortController().signal;
for (let i = 0; i < order.workloads; i++) await stage.obtain(permit(workload(`agent-${i}`)), never);
process.stdout.write('obtained\n');
setInterval(() => {}, 60_000);
