/**
 * Duty: facts about the process that owns a socket.
 * In → Out: socket inode and uid → process facts, or null where not exactly one live process holds the socket.
 * Holds: the start time is the same before and after reading, so the facts belong to one process and not to a reused PID.
 * Threat: name and arguments are chosen by the process itself; exe and sha256 say what runs, not who wrote its script.
 * Source: proc(5): /proc/PID/{fd,stat,status,comm,exe,cmdline,cgroup}.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { SocketOwner } from './socket-owner.ts';

export interface ProcessFacts {
  readonly pid: number;
  readonly name: string;
  readonly exe: string | null;
  readonly args: readonly string[];
  readonly gid: number | null;
  readonly cgroup: string | null;
  /** Hex; computed only when a selector asks. */
  sha256(): Promise<string | null>;
}

export async function processOf(owner: SocketOwner, proc = '/proc'): Promise<ProcessFacts | null> {
  const holders = await holdersOf(owner, proc);
  const [pid] = holders;
  // A socket that several processes hold (fork, fd passing) is nobody's in particular.
  if (pid === undefined || holders.length > 1) return null;
  const started = await startTime(proc, pid);
  const facts = await readFacts(proc, pid);
  if (started === null || facts === null || (await startTime(proc, pid)) !== started) return null;
  return facts;
}

async function holdersOf(owner: SocketOwner, proc: string): Promise<number[]> {
  const link = `socket:[${owner.inode}]`;
  const pids = (await readdir(proc)).filter((entry) => /^[0-9]+$/.test(entry));
  const found = await Promise.all(
    pids.map(async (pid) => ((await holds(`${proc}/${pid}`, owner.uid, link)) ? Number(pid) : null)),
  );
  return found.filter((pid) => pid !== null);
}

async function holds(directory: string, uid: number, link: string): Promise<boolean> {
  try {
    if ((await stat(directory)).uid !== uid) return false;
    for (const fd of await readdir(`${directory}/fd`)) {
      if ((await readlink(`${directory}/fd/${fd}`).catch(() => '')) === link) return true;
    }
  } catch {
    // Gone, or not ours to read: it does not count as a holder.
  }
  return false;
}

/** Field 22 of stat; the name in field 2 may hold spaces and parentheses. */
async function startTime(proc: string, pid: number): Promise<string | null> {
  const text = await readFile(`${proc}/${pid}/stat`, 'latin1').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

async function readFacts(proc: string, pid: number): Promise<ProcessFacts | null> {
  const directory = `${proc}/${pid}`;
  const text = (file: string): Promise<string> => readFile(`${directory}/${file}`, 'utf8').catch(() => '');
  const [comm, cmdline, status, cgroup, exe] = await Promise.all([
    text('comm'),
    text('cmdline'),
    text('status'),
    text('cgroup'),
    readlink(`${directory}/exe`).catch(() => null),
  ]);
  if (comm === '') return null;
  const gid = /^Gid:\t[0-9]+\t([0-9]+)/m.exec(status)?.[1];
  return {
    pid,
    name: comm.trimEnd(),
    exe,
    args: cmdline.split('\0').slice(0, -1),
    gid: gid === undefined ? null : Number(gid),
    cgroup: /^0::(.*)$/m.exec(cgroup)?.[1] ?? null,
    sha256: () => hashFile(`${directory}/exe`),
  };
}

const hashes = new Map<string, string>();

/** Hashed once per device, inode and modification time. */
async function hashFile(path: string): Promise<string | null> {
  try {
    const facts = await stat(path, { bigint: true });
    const key = `${facts.dev}:${facts.ino}:${facts.mtimeNs}:${facts.ctimeNs}`;
    const known = hashes.get(key);
    if (known !== undefined) return known;
    const digest = createHash('sha256');
    for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
    const value = digest.digest('hex');
    if (hashes.size >= 256) hashes.clear();
    hashes.set(key, value);
    return value;
  } catch {
    return null;
  }
}
