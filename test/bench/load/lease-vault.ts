/**
 * Duty: the embedded Vault in a process of its own, with a role for every workload and leases of 15 minutes.
 * In → Out: port, speed, beginning, file → sources and signing key as JSON in that file.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { createSandboxRegistry } from '../../../src/sandbox/registry.ts';
import { openSandboxVault } from '../../../src/sandbox/vault/server.ts';
import { openLeaseWorld, SIGNING_KEY_PEM } from '../../unit/credential/lease-world.ts';
import { fastClock } from './fast-clock.ts';

const [port = '', speed = '', begin = '', file = ''] = process.argv.slice(2);
const clock = fastClock(Number(speed), Number(begin));
const vault = await openSandboxVault({
  ...{ address: '127.0.0.1', port: Number(port), clock, registry: createSandboxRegistry(clock) },
});
const { sources } = await openLeaseWorld(vault.address, vault.rootToken, { leaseTtl: '15m', clock, tokenTtl: '1h' });
writeFileSync(`${file}.new`, JSON.stringify({ sources, keyPem: SIGNING_KEY_PEM }));
renameSync(`${file}.new`, file);
