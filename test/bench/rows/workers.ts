/**
 * Duty: what a second worker costs: CPU time a request with `workers: 1` and with `workers: 2`, the owner's included.
 * Holds: all processes of a candidate on the candidate's core. Two workers carry 1.8 times one worker's load where cores are
 *   free if a request costs a worker at most 1/0.9 of what it costs one alone; two cores can show no more than that.
 */
import { type Countersign, startCountersign } from '../candidates/countersign.ts';
import { startJsonUpstream } from '../candidates/nginx.ts';
import { costOfLoad, type Load } from '../request-load.ts';
import { cpuTimeUs, familyOf } from '../room/proc.ts';
import {
  atMost,
  type Bench,
  COUNTERSIGN_PORT,
  type Goal,
  NGINX_PORT,
  type Row,
  type RowResult,
  UPSTREAM_PORT,
} from '../row.ts';
import { difference, pairwise, ratio, shown } from '../spread.ts';
import { type Cost, column, inTime, takeTurns } from '../turns.ts';

const GOAL = 1 / 0.9;
const WARM_UP_REQUESTS = 3_000;

const LOADS: readonly Load[] = [
  { what: '1 connection', connections: 1, requests: 4_000 },
  { what: '64 connections', connections: 64, requests: 12_000 },
  { what: '256 connections', connections: 256, requests: 12_000 },
  { what: 'fresh tunnels', connections: null, requests: 1_500 },
];

export const workers: Row = {
  name: 'workers',
  title: 'CPU time a request with two workers, against one',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const { room, nodeFlags } = bench;
  const upstream = await startJsonUpstream(room, UPSTREAM_PORT);
  const one = { ...(await startCountersign(room, COUNTERSIGN_PORT, UPSTREAM_PORT, nodeFlags)), name: 'one worker' };
  const two = { ...(await startCountersign(room, NGINX_PORT, UPSTREAM_PORT, nodeFlags, 2)), name: 'two workers' };
  const lines: string[][] = [];
  const goals: Goal[] = [];
  const figures: Record<string, readonly number[]> = {};
  for (const each of [one, two]) {
    bench.progress(`warming up ${each.name}`);
    const requests = bench.isQuick ? 200 : WARM_UP_REQUESTS;
    await inTime('warming up', measure(bench, each, { what: '', connections: 64, requests }));
  }
  for (const load of LOADS) {
    const asked = { ...load, requests: bench.isQuick ? Math.min(300, load.requests) : load.requests };
    const costs = await takeTurns(bench, load.what, [one, two], (each) => measure(bench, each, asked));
    const [ofOne, ofTwo] = [one, two].map(({ name }) => column(costs.get(name), 'cpuUs')) as [number[], number[]];
    const ofOwner = column(costs.get(two.name), 'ownerUs');
    const ofWorkers = pairwise(ofTwo, ofOwner, difference);
    const all = pairwise(ofTwo, ofOne, ratio);
    const apart = pairwise(ofWorkers, ofOne, ratio);
    lines.push([load.what, shown(ofOne, 0), shown(ofTwo, 0), shown(ofOwner, 0), shown(all, 2), shown(apart, 2)]);
    goals.push(atMost(`${load.what}: workers and owner at most 1/0.9 of one worker's CPU a request`, all, GOAL));
    goals.push(atMost(`${load.what}: the workers alone, as where the owner has a core of its own`, apart, GOAL));
    figures[`${load.what}.one.cpuUs`] = ofOne;
    figures[`${load.what}.two.cpuUs`] = ofTwo;
    figures[`${load.what}.owner.cpuUs`] = ofOwner;
  }
  await Promise.all([one.stop(), two.stop(), upstream.stop()]);
  return {
    note: 'µs of CPU a request, of all processes of the proxy together, all on one core: worker, worker and owner take turns on it, as they would not where cores are free.',
    head: ['', 'one worker', 'two workers and their owner', 'of that the owner', 'ratio', 'ratio of the workers alone'],
    lines,
    goals,
    figures,
  };
}

type Candidate = Omit<Countersign, 'name'> & { readonly name: string };

interface OwnedCost extends Cost {
  /** CPU time of the process that was started, without its workers. */
  readonly ownerUs: number;
}

async function measure(bench: Bench, candidate: Candidate, load: Load): Promise<OwnedCost> {
  const before = ownerTimeUs(candidate);
  const cost = await costOfLoad(bench, candidate, load);
  return { ...cost, ownerUs: (ownerTimeUs(candidate) - before) / load.requests };
}

function ownerTimeUs({ process }: Candidate): number {
  if (process === null) return 0;
  const [owner = 0, ...workerPids] = familyOf(process.pid);
  return cpuTimeUs(owner) - workerPids.reduce((sum, pid) => sum + cpuTimeUs(pid), 0);
}
