/**
 * Duty: which processes belong to which user.
 * In → Out: uid → their processes.
 * Holds: a process that began before the question is looked at; a number may be given out before its process can be seen,
 *   so it is looked for again; a process changes its user seldom and mostly in its first moments, so the young are looked at
 *   every time and the others in turn.
 * Threat: an old process that became this user's a moment ago may be missed as a second holder of a socket; who is taken
 *   for the only one is looked at again (local-process.ts).
 * Source: proc(5): the last field of /proc/loadavg is the pid given out last; linux kernel/pid.c: they are given out in turn.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import { SharedRun } from './shared-run.ts';

/** One process; another object once its number is given out again. */
export interface Citizen {
  readonly pid: number;
  readonly uid: number;
}

interface Entry extends Citizen {
  uid: number;
  /** It is looked at with every question until then. */
  youngUntilMs: number;
}

const YOUNG_MS = 1_000;
/** As many of the last numbers at most. */
const MAX_YOUNG = 64;
/** So many of the others are looked at again with each question. */
const IN_TURN = 8;
/** Probing pid by pid is cheaper than listing the folder up to about here. */
const MAX_PROBED = 128;
/** A whole new count costs a look at every process. */
const RECOUNT_MS = 1_000;
/** Others get their turn after so many looks, about a millisecond. */
const SLICE = 64;

export class ProcessCensus {
  readonly #proc: string;
  readonly #clock: Clock;
  readonly #citizens = new Map<number, Entry>();
  readonly #update = new SharedRun(() => this.#count());
  /** Numbers that were given out and stand for nothing yet, or for nothing any more; with when that was first seen. */
  readonly #unborn = new Map<number, number>();
  #lastPid: number | null = null;
  #mustRecount = true;
  #turn: number[] = [];
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(proc: string, clock: Clock) {
    this.#proc = proc;
    this.#clock = clock;
  }

  async of(uid: number): Promise<Citizen[]> {
    await this.#update.run();
    const found: Citizen[] = [];
    for (const citizen of this.#citizens.values()) if (citizen.uid === uid) found.push(citizen);
    return found;
  }

  /** Has the next question look at every process; false where that was done a moment ago. */
  recount(): boolean {
    if (this.#clock.monotonicMs() - this.#countedAtMs < RECOUNT_MS) return false;
    this.#mustRecount = true;
    return true;
  }

  async #count(): Promise<void> {
    const before = this.#lastPid;
    const last = lastPidIn(this.#proc);
    this.#lastPid = last;
    for (const pid of this.#unborn.keys()) this.#probe(pid);
    const isNew = givenOutBetween(before, last);
    const isNear = before !== null && last !== null && last >= before && last - before <= MAX_PROBED;
    // Who has a number that was given out again is another than the one who had it.
    for (const pid of this.#citizens.keys()) if (isNew(pid)) this.#citizens.delete(pid);
    if (this.#mustRecount || last === null) {
      this.#mustRecount = false;
      this.#countedAtMs = this.#clock.monotonicMs();
      await this.#countAll(() => true);
    } else if (!isNear) await this.#countAll(isNew);
    if (last !== null) {
      for (let pid = isNear ? before + 1 : Math.max(1, last - MAX_YOUNG); pid <= last; pid++) this.#probe(pid);
    }
    this.#lookAgain();
  }

  async #countAll(isAsked: (pid: number) => boolean): Promise<void> {
    const present = new Set(listPids(this.#proc));
    for (const pid of this.#citizens.keys()) if (!present.has(pid)) this.#citizens.delete(pid);
    let looks = 0;
    for (const pid of present) {
      if (!isAsked(pid) && this.#citizens.has(pid)) continue;
      this.#meet(pid, userOf(this.#proc, pid), 0);
      looks += 1;
      if (looks % SLICE === 0) await nextTurn();
    }
  }

  /** A number that may stand for a process, for a thread, whose folder is not listed and yet is there, or for nothing. */
  #probe(pid: number): void {
    const now = this.#clock.monotonicMs();
    const sinceMs = this.#unborn.get(pid) ?? now;
    if (statSync(`${this.#proc}/${pid}`, { throwIfNoEntry: false }) === undefined) {
      this.#citizens.delete(pid);
      const isAwaited = now - sinceMs <= YOUNG_MS && (this.#unborn.has(pid) || this.#unborn.size < MAX_YOUNG);
      if (isAwaited) this.#unborn.set(pid, sinceMs);
      else this.#unborn.delete(pid);
      return;
    }
    this.#unborn.delete(pid);
    const status = statusOf(this.#proc, pid);
    this.#meet(pid, status?.leader === pid ? status.uid : null, YOUNG_MS);
  }

  #lookAgain(): void {
    const now = this.#clock.monotonicMs();
    const young: number[] = [];
    for (const [pid, { youngUntilMs }] of this.#citizens) if (now < youngUntilMs) young.push(pid);
    if (this.#turn.length === 0) this.#turn = [...this.#citizens.keys()];
    const inTurn = this.#turn.splice(-IN_TURN).filter((pid) => this.#citizens.has(pid));
    for (const pid of [...young.slice(-MAX_YOUNG), ...inTurn]) this.#meet(pid, userOf(this.#proc, pid), 0);
  }

  #meet(pid: number, uid: number | null, youngMs: number): void {
    const known = this.#citizens.get(pid);
    const youngUntilMs = this.#clock.monotonicMs() + youngMs;
    if (uid === null) this.#citizens.delete(pid);
    else if (known === undefined) this.#citizens.set(pid, { pid, uid, youngUntilMs });
    else {
      known.uid = uid;
      known.youngUntilMs = Math.max(known.youngUntilMs, youngUntilMs);
    }
  }
}

/** Numbers begin anew behind the largest; where nobody knows, all may have been given out. */
function givenOutBetween(before: number | null, last: number | null): (pid: number) => boolean {
  if (before === null || last === null) return () => true;
  return last >= before ? (pid) => pid > before && pid <= last : (pid) => pid > before || pid <= last;
}

/** The user that a process acts as; null where there is none of that number. */
export function userOf(proc: string, pid: number): number | null {
  const uid = statSync(`${proc}/${pid}`, { throwIfNoEntry: false })?.uid ?? null;
  // The folder of a process that may not be dumped is root's, whoever it acts as.
  return uid === 0 ? (statusOf(proc, pid)?.uid ?? null) : uid;
}

function statusOf(proc: string, pid: number): { readonly leader: number; readonly uid: number } | null {
  try {
    const status = readFileSync(`${proc}/${pid}/status`, 'latin1');
    const [, leader, uid] = /^Tgid:\t([0-9]+)$[\s\S]*^Uid:\t[0-9]+\t([0-9]+)/m.exec(status) ?? [];
    return leader === undefined || uid === undefined ? null : { leader: Number(leader), uid: Number(uid) };
  } catch {
    return null;
  }
}

function lastPidIn(proc: string): number | null {
  try {
    const last = readFileSync(`${proc}/loadavg`, 'latin1').trim().split(' ').at(-1);
    return last !== undefined && /^[0-9]+$/.test(last) ? Number(last) : null;
  } catch {
    return null;
  }
}

const listPids = (proc: string): number[] =>
  readdirSync(proc)
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number);
