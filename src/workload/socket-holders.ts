/**
 * Duty: which processes of a user hold a socket.
 * In → Out: uid and socket inode → every process of that user that holds it, with one of its descriptors.
 * Holds: every process of the user is looked at, for one that was passed the socket counts as much as one that opened it;
 *   who asks while others do shares their walk, which begins after the question.
 * Threat: a descriptor that is on its way in a message between processes is held by none of them.
 * Source: proc(5), /proc/PID/fd.
 * Not here: whether the holder stays the same while it is asked about (local-process.ts).
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ProcessCensus } from './process-census.ts';
import { SharedRun } from './shared-run.ts';
import type { SocketOwner } from './socket-owner.ts';

export interface SocketHolder {
  readonly pid: number;
  readonly fd: string;
}

/** Descriptors looked at before others get their turn, about a millisecond. */
const SLICE = 128;

type Walk = SharedRun<ReadonlyMap<string, readonly SocketHolder[]>>;

export class SocketHolders {
  readonly #proc: string;
  readonly #census: ProcessCensus;
  readonly #ownPid: number;
  readonly #walks = new Map<number, Walk>();

  /** `ownPid` is passed over: this proxy's ends are many, and none is a workload's. */
  constructor(proc: string, census: ProcessCensus, ownPid: number) {
    this.#proc = proc;
    this.#census = census;
    this.#ownPid = ownPid;
  }

  async of({ uid, inode }: SocketOwner): Promise<readonly SocketHolder[]> {
    const found = (await this.#walk(uid)).get(inode);
    if (found !== undefined || !this.#census.recount()) return found ?? [];
    return (await this.#walk(uid)).get(inode) ?? [];
  }

  async #walk(uid: number): Promise<ReadonlyMap<string, readonly SocketHolder[]>> {
    let walk = this.#walks.get(uid);
    if (walk === undefined) {
      if (this.#walks.size >= 1_024) this.#walks.clear();
      walk = new SharedRun(() => this.#socketsOf(uid));
      this.#walks.set(uid, walk);
    }
    return walk.run();
  }

  async #socketsOf(uid: number): Promise<ReadonlyMap<string, readonly SocketHolder[]>> {
    const sockets = new Map<string, SocketHolder[]>();
    let looks = 0;
    for (const pid of await this.#census.pidsOf(uid)) {
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
    return sockets;
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
