/** Duty: what one request costs that comes on a connection of its own: CONNECT, handshake, request, end. */
import { startCandidates } from '../candidates/all.ts';
import { startBareRelay } from '../candidates/bare-relay.ts';
import type { Candidate } from '../candidates/candidate.ts';
import { runFresh } from '../load/closed-loop.ts';
import { getRequest } from '../load/requests.ts';
import { atMost, BARE_RELAY_PORT, type Bench, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { pairwise, ratio, shown } from '../spread.ts';
import { type Cost, column, costOf, inTime, takeTurns } from '../turns.ts';

const CONCURRENT = 8;

export const freshTunnel: Row = {
  name: 'fresh-tunnel',
  title: 'CPU time of a fresh tunnel with one request, against a fresh connection to nginx, and tunnels a second',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const candidates = await startCandidates(bench);
  const relay = await startBareRelay(bench.room, BARE_RELAY_PORT, UPSTREAM_PORT, bench.nodeFlags);
  const all = [...candidates.all, relay];
  const tunnels = bench.isQuick ? 200 : 1_500;
  const measure = (candidate: Candidate): Promise<Cost> => {
    const { way } = candidate;
    return costOf(bench, candidate, tunnels, () => runFresh(way, getRequest(way), tunnels, CONCURRENT));
  };
  for (const candidate of all) {
    bench.progress(`warming up ${candidate.name}`);
    await inTime('warming up', measure(candidate));
  }
  const costs = await takeTurns(bench, 'fresh tunnels', all, measure);
  await Promise.all([candidates.stop(), relay.stop()]);
  const of = (name: string): number[] => column(costs.get(name), 'cpuUs');
  const toNginx = pairwise(of('countersign'), of('nginx'), ratio);
  const toRelay = pairwise(of('countersign'), of('bare relay'), ratio);
  const toSquid = pairwise(of('countersign'), of('squid'), ratio);
  const ratios = new Map([
    ['nginx', toNginx],
    ['squid', toSquid],
    ['bare relay', toRelay],
  ]);
  const figures: Record<string, readonly number[]> = {};
  for (const [name, each] of costs) {
    for (const key of ['cpuUs', 'perSecond', 'share', 'foreign'] as const)
      figures[`${name}.${key}`] = column(each, key);
  }
  return {
    note: `${CONCURRENT} at a time, no session is resumed, the connections to the upstream are kept. nginx and the bare relay take no CONNECT; squid and countersign do. A second of the candidate's core carries 1,000,000 ÷ CPU tunnels; the rate beside it is what the one core of load and upstream could ask for.`,
    head: ['', 'µs of CPU a tunnel', 'tunnels a second', 'share of its core', 'countersign costs'],
    lines: [...costs].map(([name, each]) => [
      name,
      shown(column(each, 'cpuUs'), 0),
      shown(column(each, 'perSecond'), 0),
      shown(column(each, 'share'), 2),
      ratios.has(name) ? `${shown(ratios.get(name) ?? [], 2)} ×` : '',
    ]),
    goals: [atMost("a fresh tunnel at most 1.5 × nginx's handshake and request", toNginx, 1.5)],
    figures,
  };
}
