/**
 * Duty: what this host's kernel knows of the workload's end of a connection, put together.
 * In → Out: connection → user and socket; those → facts of the one process that holds it, or null.
 * Holds: a socket that several processes hold is nobody's in particular; it still has its user.
 * Not here: selectors (attestors/local-process.ts).
 */
import { readlinkSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import type { LocalKernel } from './attestor.ts';
import { ExecutableHashes } from './executable-hash.ts';
import { readProcess } from './local-process.ts';
import { ProcessCensus } from './process-census.ts';
import { SlowLane } from './slow-lane.ts';
import { createSocketDiagnosis, NO_DIAGNOSIS, type SocketDiagnosis } from './socket-diagnosis.ts';
import { SocketHolders } from './socket-holders.ts';
import { createSocketOwners } from './socket-owner.ts';
import { systemCalls } from './system-calls.ts';
import { UNKNOWN_INODE } from './unix-peer.ts';

export interface LocalKernelOptions {
  /** `/proc`; another one is for tests. */
  readonly proc?: string;
  /** False: by the tables of /proc/net alone. */
  readonly asksSockets?: boolean;
}

export function createLocalKernel(
  clock: Clock,
  { proc = '/proc', asksSockets = true }: LocalKernelOptions = {},
): LocalKernel {
  let diagnosis: Promise<SocketDiagnosis> | undefined;
  const ownerOf = createSocketOwners(proc, () => {
    diagnosis ??= asksSockets ? systemCalls().then(createSocketDiagnosis) : Promise.resolve(NO_DIAGNOSIS);
    return diagnosis;
  });
  const holders = new SocketHolders(proc, new ProcessCensus(proc, clock), ownPid(proc));
  const parts = { proc, hashes: new ExecutableHashes(), lane: new SlowLane() };
  return {
    ownerOf,
    processOf: async (owner, doubt) => {
      const [holder, ...more] = owner.inode === UNKNOWN_INODE ? [] : await holders.of(owner);
      if (holder === undefined) doubt('no process that this proxy may look into holds the socket');
      if (more.length > 0) doubt(`${more.length + 1} processes hold the socket`);
      if (holder === undefined || more.length > 0) return null;
      if (owner.pid !== undefined && owner.pid !== holder.pid) {
        doubt('another process than the one that connected holds the socket');
        return null;
      }
      const facts = readProcess(owner, holder, parts);
      if (facts === null) doubt('the process changed while it was looked at');
      return facts;
    },
  };
}

function ownPid(proc: string): number {
  try {
    return Number(readlinkSync(`${proc}/self`));
  } catch {
    return -1;
  }
}
