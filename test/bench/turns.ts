/**
 * Duty: candidates take turns, and what the CPU of each did in its turn.
 * Holds: each round begins with another candidate, so that who comes first is no advantage; a turn ends in time or fails.
 */
import type { Candidate } from './candidates/candidate.ts';
import { busyUs, cpuTimeUs } from './room/proc.ts';
import { sleep } from './room/room.ts';
import type { Bench } from './row.ts';

const TURN_MS = 180_000;
/** For what is still on its way when a turn begins or ends: audit records, closing connections. */
const SETTLE_MS = 100;

/** Measurements by name, in the order of the rounds. */
export async function takeTurns<C extends { readonly name: string }, T>(
  bench: Bench,
  what: string,
  candidates: readonly C[],
  measure: (candidate: C) => Promise<T>,
  limitMs = TURN_MS,
): Promise<Map<string, T[]>> {
  const measured = new Map<string, T[]>(candidates.map(({ name }) => [name, []]));
  for (let round = 0; round < bench.rounds; round++) {
    for (let turn = 0; turn < candidates.length; turn++) {
      const candidate = candidates[(round + turn) % candidates.length];
      if (candidate === undefined) continue;
      bench.progress(`${what}, round ${round + 1} of ${bench.rounds}, ${candidate.name}`);
      measured.get(candidate.name)?.push(await inTime(`${what}, ${candidate.name}`, measure(candidate), limitMs));
    }
  }
  return measured;
}

export async function inTime<T>(what: string, work: Promise<T>, limitMs = TURN_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${limitMs / 1_000} s`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (thrown) {
    throw new Error(`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  } finally {
    clearTimeout(timer);
  }
}

export interface Cost {
  /** CPU time of the candidate for one unit of work. */
  readonly cpuUs: number;
  /** Units of work a second, by the clock on the wall. */
  readonly perSecond: number;
  /** Share of its core that the candidate used while the work was going on. */
  readonly share: number;
  /** Share of that core that others used. */
  readonly foreign: number;
}

/** What `units` of work cost the candidate. */
export async function costOf(
  bench: Bench,
  candidate: Candidate,
  units: number,
  work: () => Promise<void>,
): Promise<Cost> {
  const pid = candidate.process?.pid ?? null;
  const core = bench.room.cores.candidate;
  await sleep(SETTLE_MS);
  const cpuBefore = pid === null ? 0 : cpuTimeUs(pid);
  const busyBefore = busyUs(core);
  const startedMs = performance.now();
  await work();
  const wallUs = (performance.now() - startedMs) * 1_000;
  await sleep(SETTLE_MS);
  const cpuUs = pid === null ? 0 : cpuTimeUs(pid) - cpuBefore;
  return {
    cpuUs: cpuUs / units,
    perSecond: (units / wallUs) * 1_000_000,
    share: cpuUs / wallUs,
    foreign: Math.max(0, busyUs(core) - busyBefore - cpuUs) / (wallUs + SETTLE_MS * 1_000),
  };
}

export const column = <K extends string>(costs: readonly Record<K, number>[] | undefined, key: K): number[] =>
  (costs ?? []).map((cost) => cost[key]);
