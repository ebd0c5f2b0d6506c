/**
 * Duty: which processes of a user hold a socket.
 * In → Out: uid and socket inode → the processes of that user that hold it, each with one of its descriptors.
 * Holds: at the last walk over all of them it was seen who held which socket. Who may hold one since: its holders of then,
 *   everybody who began since (a child inherits), and whoever opened it; all who lately connected are looked at, with the
 *   parents of who is found. Where that finds nobody, all are walked over again.
 * Threat: a program that began before may have been passed the socket by its opener, in a message, and is not noticed beside
 *   it. Programs of one user that pass sockets can do so unseen anyway: one in a message is held by no process.
 * Source: proc(5), /proc/PID/fd; unix(7), SCM_RIGHTS.
 * Not here: whether the holder stays the same while it is asked about (local-process.ts).
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Citizen, ProcessCensus } from './process-census.ts';
import { SharedRun } from './shared-run.ts';
import type { SocketOwner } from './socket-owner.ts';

export interface SocketHolder {
  readonly pid: number;
  readonly fd: string;
}

/** Descriptors looked at before others get their turn, about a millisecond. */
const SLICE = 128;
/** A process that cannot be looked into costs as much as so many of them. */
const FAILED_LOOK = 16;
/** Of so many the list alone would hold others up. */
const MANY_DESCRIPTORS = 1_024;
/** A process with more is not looked into; what it holds has no process then. */
const MAX_DESCRIPTORS = 65_536;
const MAX_USERS = 1_024;
/** Beyond so many that began since the last walk, a new one is due. */
const MAX_BEGUN = 64;
const MAX_CONNECTED = 16;
const MAX_ANCESTORS = 16;

/** What a walk over all processes of a user saw. */
interface Survey {
  readonly walked: ReadonlySet<Citizen>;
  readonly sockets: ReadonlyMap<string, readonly SocketHolder[]>;
}

/** What is kept of a user. */
interface UserRecord {
  readonly walk: SharedRun<Survey>;
  survey: Survey | null;
  /** Those that connected last, the latest at the end. */
  readonly connected: Set<Citizen>;
}

export class SocketHolders {
  readonly #proc: string;
  readonly #census: ProcessCensus;
  readonly #ownPid: number;
  readonly #users = new Map<number, UserRecord>();

  /** `ownPid` is passed over: this proxy's ends are many, and none is a workload's. */
  constructor(proc: string, census: ProcessCensus, ownPid: number) {
    this.#proc = proc;
    this.#census = census;
    this.#ownPid = ownPid;
  }

  async of({ uid, inode }: SocketOwner): Promise<readonly SocketHolder[]> {
    const user = this.#user(uid);
    const likely = user.survey === null ? [] : await this.#amongLikely(user, user.survey, uid, inode);
    if (likely.length > 0) return likely;
    const found = await this.#amongAll(user, inode);
    return found.length > 0 || !this.#census.recount() ? found : this.#amongAll(user, inode);
  }

  #user(uid: number): UserRecord {
    let user = this.#users.get(uid);
    if (user === undefined) {
      if (this.#users.size >= MAX_USERS) this.#users.clear();
      user = { walk: new SharedRun(() => this.#survey(uid)), survey: null, connected: new Set() };
      this.#users.set(uid, user);
    }
    return user;
  }

  async #amongLikely(user: UserRecord, survey: Survey, uid: number, inode: string): Promise<readonly SocketHolder[]> {
    const people = await this.#census.of(uid);
    const begun = people.filter((citizen) => !survey.walked.has(citizen));
    if (begun.length > MAX_BEGUN) return [];
    const connected = people.filter((citizen) => user.connected.has(citizen));
    const formerly = survey.sockets.get(inode) ?? [];
    const pids = new Set([...begun, ...connected, ...formerly].map(({ pid }) => pid));
    const holders = await this.#among(pids, inode);
    // A parent that began before may have opened it.
    const own = new Set(people.map(({ pid }) => pid));
    const parents = holders.flatMap(({ pid }) => this.#ancestorsOf(pid, own)).filter((pid) => !pids.has(pid));
    const all = [...holders, ...(await this.#among(new Set(parents), inode))];
    remember(user, people, all);
    return all;
  }

  async #amongAll(user: UserRecord, inode: string): Promise<readonly SocketHolder[]> {
    const survey = await user.walk.run();
    user.survey = survey;
    const holders = survey.sockets.get(inode) ?? [];
    remember(user, survey.walked, holders);
    return holders;
  }

  async #among(pids: Iterable<number>, inode: string): Promise<SocketHolder[]> {
    const holders: SocketHolder[] = [];
    await this.#lookInto(pids, (found, holder) => {
      if (found === inode) holders.push(holder);
    });
    return holders;
  }

  /** Of the same user; what another user's process left open for its child, it gave away on purpose. */
  #ancestorsOf(pid: number, own: ReadonlySet<number>): number[] {
    const ancestors: number[] = [];
    let at = parentOf(this.#proc, pid);
    while (own.has(at) && ancestors.length < MAX_ANCESTORS) {
      ancestors.push(at);
      at = parentOf(this.#proc, at);
    }
    return ancestors;
  }

  async #survey(uid: number): Promise<Survey> {
    const walked = new Set(await this.#census.of(uid));
    const sockets = new Map<string, SocketHolder[]>();
    await this.#lookInto(
      Array.from(walked, ({ pid }) => pid),
      (inode, holder) => {
        const holders = sockets.get(inode);
        if (holders === undefined) sockets.set(inode, [holder]);
        else holders.push(holder);
      },
    );
    return { walked, sockets };
  }

  /** Tells every socket of each process once. */
  async #lookInto(pids: Iterable<number>, tell: (inode: string, holder: SocketHolder) => void): Promise<void> {
    let looks = 0;
    for (const pid of pids) {
      if (pid === this.#ownPid) continue;
      const folder = `${this.#proc}/${pid}/fd`;
      const fds = await descriptorsIn(folder);
      looks += fds === null ? FAILED_LOOK : 1;
      if (looks >= SLICE) looks = await rest();
      const told = new Set<string>();
      for (const fd of fds ?? []) {
        const inode = socketInode(`${folder}/${fd}`);
        if (inode !== null && !told.has(inode)) tell(inode, { pid, fd });
        if (inode !== null) told.add(inode);
        looks += 1;
        if (looks >= SLICE) looks = await rest();
      }
    }
  }
}

function remember({ connected }: UserRecord, people: Iterable<Citizen>, holders: readonly SocketHolder[]): void {
  const pids = new Set(holders.map(({ pid }) => pid));
  for (const citizen of people) {
    if (!pids.has(citizen.pid)) continue;
    connected.delete(citizen);
    connected.add(citizen);
  }
  for (const oldest of connected) {
    if (connected.size <= MAX_CONNECTED) return;
    connected.delete(oldest);
  }
}

/** Field 4 of stat; 0 where there is none. */
function parentOf(proc: string, pid: number): number {
  try {
    const line = readFileSync(`${proc}/${pid}/stat`, 'latin1');
    return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]) || 0;
  } catch {
    return 0;
  }
}

/** Resolves with the looks that were had since. */
async function rest(): Promise<number> {
  await nextTurn();
  return 0;
}

/** Null where it has ended, has too many, or is not ours to look into; then it is no holder that we could name. */
async function descriptorsIn(folder: string): Promise<string[] | null> {
  try {
    // Since Linux 6.2 the number of descriptors, before that 0.
    const count = statSync(folder).size;
    if (count > MAX_DESCRIPTORS) return null;
    return count > MANY_DESCRIPTORS ? await readdir(folder) : readdirSync(folder);
  } catch {
    return null;
  }
}

/** `socket:[4242]` */
export function socketInode(path: string): string | null {
  try {
    return /^socket:\[([0-9]+)\]$/.exec(readlinkSync(path))?.[1] ?? null;
  } catch {
    return null;
  }
}
