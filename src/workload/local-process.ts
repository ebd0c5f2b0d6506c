/**
 * Duty: facts about the process that holds a socket.
 * In → Out: socket and its holder → process facts, or null where it does not stay the same process while it is read.
 * Holds: start time, user, descriptor and memory layout are the same before and after reading, so all of it is of one
 *   process that ran one program and held the socket throughout; an inheritable descriptor says nothing of the program,
 *   for another may have opened it and then become this one.
 * Threat: name and arguments are chosen by the process; exe and sha256 say what runs, not who wrote its script. Programs
 *   of one user can make each other do anything (ptrace, LD_PRELOAD), so keep what must be apart under users of its own.
 * Source: proc(5): /proc/PID/{fd,fdinfo,stat,status,comm,exe,cmdline,cgroup}; execve(2).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { cgroupPath, containerId } from './container-id.ts';
import type { ExecutableHashes } from './executable-hash.ts';
import { userOf } from './process-census.ts';
import type { SlowLane } from './slow-lane.ts';
import { type SocketHolder, socketInode } from './socket-holders.ts';
import type { SocketOwner } from './socket-owner.ts';

export interface ProcessFacts {
  readonly pid: number;
  /** Null where real and effective group differ. */
  readonly gid: number | null;
  readonly cgroup: string | null;
  /** 64 hex digits; null outside of containers. */
  readonly containerId: string | null;
  /** What runs in it; null where it may be another program than the one that connected. */
  readonly program: Program | null;
}

export interface Program {
  readonly name: string;
  /** Path, where it is the same file in this proxy's file system. */
  exe(): Promise<string | null>;
  args(): Promise<readonly string[]>;
  /** Hex. */
  sha256(): Promise<string | null>;
}

export interface ReadingParts {
  readonly proc: string;
  readonly hashes: ExecutableHashes;
  readonly lane: SlowLane;
}

const O_CLOEXEC = 0o2_000_000;
const MAX_ARGUMENT_BYTES = 128 * 1024;

export function readProcess(owner: SocketOwner, holder: SocketHolder, parts: ReadingParts): ProcessFacts | null {
  const folder = `${parts.proc}/${holder.pid}`;
  const before = witness(folder, parts.proc, holder);
  if (before === null || before.uid !== owner.uid || before.inode !== owner.inode) return null;
  const isUnchanged = (): boolean => witness(folder, parts.proc, holder)?.text === before.text;
  const status = textOf(`${folder}/status`) ?? '';
  const cgroup = textOf(`${folder}/cgroup`) ?? '';
  const name = textOf(`${folder}/comm`)?.trimEnd();
  const isInheritable = !hasCloseOnExec(`${folder}/fdinfo/${holder.fd}`);
  if (name === undefined || !isUnchanged()) return null;
  const program = isInheritable ? null : { name, ...laterOf(folder, parts, isUnchanged) };
  return {
    pid: holder.pid,
    gid: groupIn(status),
    cgroup: cgroupPath(cgroup),
    containerId: containerId(cgroup),
    program,
  };
}

/** What touches files or memory of the process, which it can make slow, is read when a selector asks. */
function laterOf(folder: string, { hashes, lane }: ReadingParts, isUnchanged: () => boolean): Omit<Program, 'name'> {
  return {
    exe: async () => {
      const path = await lane.run(() => samePath(`${folder}/exe`));
      return isUnchanged() ? path : null;
    },
    args: async () => {
      const args = await lane.run(() => argumentsIn(`${folder}/cmdline`));
      return isUnchanged() ? (args ?? []) : [];
    },
    sha256: async () => {
      const hash = await hashes.of(`${folder}/exe`);
      return isUnchanged() ? hash : null;
    },
  };
}

interface Witness {
  readonly uid: number;
  readonly inode: string;
  /** Differs for any other process, and for the same one once it has run another program. */
  readonly text: string;
}

function witness(folder: string, proc: string, { pid, fd }: SocketHolder): Witness | null {
  const line = textOf(`${folder}/stat`);
  const uid = userOf(proc, pid);
  const inode = socketInode(`${folder}/fd/${fd}`);
  if (line === null || uid === null || inode === null) return null;
  // The name in field 2 may hold spaces and parentheses. Field 22 is the start time; 26 to 28 are where code and stack begin.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const life = [fields[19], ...fields.slice(23, 26)].join(' ');
  return { uid, inode, text: `${life} ${uid} ${inode} ${linkOf(`${folder}/exe`)}` };
}

/** `Gid:\t<real>\t<effective>\t…` */
function groupIn(status: string): number | null {
  const [, real, effective] = /^Gid:\t([0-9]+)\t([0-9]+)/m.exec(status) ?? [];
  return real === undefined || real !== effective ? null : Number(real);
}

/** `flags:\t02004002`, octal. */
function hasCloseOnExec(fdinfo: string): boolean {
  const flags = /^flags:\t([0-7]+)$/m.exec(textOf(fdinfo) ?? '')?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
}

/** A process in a mount namespace of its own can give any file any path, so the file behind the path is compared. */
async function samePath(link: string): Promise<string | null> {
  const path = linkOf(link);
  if (path === '') return null;
  try {
    const [running, here] = await Promise.all([stat(link, { bigint: true }), stat(path, { bigint: true })]);
    return running.dev === here.dev && running.ino === here.ino ? path : null;
  } catch {
    return null;
  }
}

async function argumentsIn(path: string): Promise<readonly string[]> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const bytes = Buffer.alloc(MAX_ARGUMENT_BYTES);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    // Cut off: the last argument is not whole.
    return bytes.toString('utf8', 0, bytesRead).split('\0').slice(0, -1);
  } catch {
    return [];
  } finally {
    await file?.close();
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
