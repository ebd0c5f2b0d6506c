/**
 * Duty: evidence from this host's kernel: the user and the process at the other end of a loopback connection.
 * In → Out: `unix:*`, `process:*`, `cgroup:path` → what the kernel says, with the names of its accounts.
 * Threat: programs of one user can pass sockets to each other and take any name; only what the kernel holds (uid, gid,
 *   control group) is out of their hands.
 * Not here: how the kernel is asked (socket-owner.ts, local-process.ts of the room).
 */
import type { Attestor, Subject } from '../attestor.ts';
import type { ProcessFacts, Program } from '../local-process.ts';
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
      if (process === null) return [];
      if (!key.startsWith('process:')) return ofProcess(key, process, accounts);
      if (process.program === null)
        subject.doubt('the socket is inheritable (no close-on-exec), so another program may have opened it');
      return ofProgram(key, process.program);
    },
  };
}

/** The socket itself has a user, whichever processes hold it. */
async function ofUser(key: SelectorKey, subject: Subject, accounts: AccountNames): Promise<string[]> {
  const owner = await subject.owner();
  if (owner === null) return [];
  return key === 'unix:uid' ? [String(owner.uid)] : present(accounts.userName(owner.uid));
}

async function ofProgram(key: SelectorKey, program: Program | null): Promise<readonly string[]> {
  if (program === null) return [];
  switch (key) {
    case 'process:name':
      return [program.name];
    case 'process:exe':
      return present(await program.exe());
    case 'process:arg':
      return program.args();
    case 'process:sha256':
      return present(await program.sha256());
    default:
      return [];
  }
}

function ofProcess(key: SelectorKey, process: ProcessFacts, accounts: AccountNames): readonly string[] {
  switch (key) {
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
