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
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
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
    const holders = this.#among(pids, inode);
    // A parent that began before may have opened it.
    const parents = holders.flatMap(({ pid }) => this.#ancestorsOf(pid)).filter((pid) => !pids.has(pid));
    const all = [...holders, ...this.#among(new Set(parents), inode)];
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

  #among(pids: Iterable<number>, inode: string): SocketHolder[] {
    const holders: SocketHolder[] = [];
    for (const pid of pids) {
      if (pid === this.#ownPid) continue;
      for (const [found, fd] of socketsIn(`${this.#proc}/${pid}/fd`)) {
        if (found !== inode) continue;
        holders.push({ pid, fd });
        break;
      }
    }
    return holders;
  }

  #ancestorsOf(pid: number): number[] {
    const ancestors: number[] = [];
    for (let at = parentOf(this.#proc, pid); at > 1 && ancestors.length < MAX_ANCESTORS; at = parentOf(this.#proc, at))
      ancestors.push(at);
    return ancestors;
  }

  async #survey(uid: number): Promise<Survey> {
    const walked = new Set(await this.#census.of(uid));
    const sockets = new Map<string, SocketHolder[]>();
    let looks = 0;
    for (const { pid } of walked) {
      if (pid === this.#ownPid) continue;
      const mine = new Set<string>();
      for (const [inode, fd] of socketsIn(`${this.#proc}/${pid}/fd`)) {
        looks += 1;
        if (inode === null || mine.has(inode)) continue;
        mine.add(inode);
        const holders = sockets.get(inode);
        if (holders === undefined) sockets.set(inode, [{ pid, fd }]);
        else holders.push({ pid, fd });
      }
      looks += 1;
      if (looks >= SLICE) {
        looks = 0;
        await nextTurn();
      }
    }
    return { walked, sockets };
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

/** Of each descriptor: the inode where it is a socket. */
function* socketsIn(folder: string): Generator<[inode: string | null, fd: string]> {
  let fds: string[];
  try {
    fds = readdirSync(folder);
  } catch {
    // It has ended, or is not ours to look into; then it is no holder that we could name.
    return;
  }
  for (const fd of fds) yield [socketInode(`${folder}/${fd}`), fd];
}

/** `socket:[4242]` */
export function socketInode(path: string): string | null {
  try {
    return /^socket:\[([0-9]+)\]$/.exec(readlinkSync(path))?.[1] ?? null;
  } catch {
    return null;
  }
}
