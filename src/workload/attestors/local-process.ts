/**
 * Duty: evidence from this host's kernel: the user and the process at the other end of a loopback connection.
 * In → Out: `unix:*`, `process:*`, `cgroup:path` → what the kernel says, with the names of its accounts.
 * Threat: programs of one user can pass sockets to each other and take any name; only what the kernel holds (uid, gid,
 *   control group) is out of their hands.
 * Not here: how the kernel is asked (socket-owner.ts, local-process.ts of the room).
 */
import type { Attestor, Subject } from '../attestor.ts';
import type { ProcessFacts } from '../local-process.ts';
import type { SelectorKey } from '../options.ts';

export interface AccountNames {
  userName(uid: number): string | null;
  groupName(gid: number): string | null;
}

export function createLocalProcessAttestor(accounts: AccountNames): Attestor {
  return {
    answersFor: (key) => /^(?:unix|process|cgroup):/.test(key),
    values: async (key, subject) => {
      if (key === 'unix:uid' || key === 'unix:user') return ofUser(key, subject, accounts);
      const process = await subject.process();
      return process === null ? [] : ofProcess(key, process, accounts);
    },
  };
}

/** The socket itself has a user, whichever processes hold it. */
async function ofUser(key: SelectorKey, subject: Subject, accounts: AccountNames): Promise<string[]> {
  const owner = await subject.owner();
  if (owner === null) return [];
  return key === 'unix:uid' ? [String(owner.uid)] : present(accounts.userName(owner.uid));
}

async function ofProcess(key: SelectorKey, process: ProcessFacts, accounts: AccountNames): Promise<readonly string[]> {
  switch (key) {
    case 'process:name':
      return [process.name];
    case 'process:exe':
      return present(process.exe);
    case 'process:arg':
      return process.args;
    case 'process:sha256':
      return present(await process.sha256());
    case 'unix:gid':
      return process.gid === null ? [] : [String(process.gid)];
    case 'unix:group':
      return process.gid === null ? [] : present(accounts.groupName(process.gid));
    case 'cgroup:path':
      return present(process.cgroup);
    default:
      return [];
  }
}

const present = (value: string | null): string[] => (value === null ? [] : [value]);
