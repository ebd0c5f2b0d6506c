/** Duty: CPU time a request on kept connections, 1 KB of JSON, TLS on both legs, against nginx and squid. */
import { startCandidates } from '../candidates/all.ts';
import { startBareRelay } from '../candidates/bare-relay.ts';
import type { Candidate } from '../candidates/candidate.ts';
import { KeptConnections } from '../load/closed-loop.ts';
import { getRequest } from '../load/requests.ts';
import { atMost, BARE_RELAY_PORT, type Bench, type Goal, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { pairwise, ratio, shown } from '../spread.ts';
import { type Cost, column, costOf, inTime, takeTurns } from '../turns.ts';

const CONNECTIONS = [1, 64, 256];

export const keepAlive: Row = {
  name: 'keep-alive',
  title: 'CPU time a request on kept connections, 1 KB of JSON, against nginx and squid',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const candidates = await startCandidates(bench);
  const relay = await startBareRelay(bench.room, BARE_RELAY_PORT, UPSTREAM_PORT, bench.nodeFlags);
  const all = [...candidates.all, relay];
  const lines: string[][] = [];
  const goals: Goal[] = [];
  const figures: Record<string, readonly number[]> = {};
  const requestsAt = (connections: number): number => (bench.isQuick ? 600 : connections === 1 ? 4_000 : 12_000);
  for (const candidate of all) {
    bench.progress(`warming up ${candidate.name}`);
    await inTime('warming up', measureKept(bench, candidate, 64, requestsAt(64)));
  }
  for (const connections of CONNECTIONS) {
    const requests = requestsAt(connections);
    const what = `${connections} ${connections === 1 ? 'connection' : 'connections'}`;
    const costs = await takeTurns(bench, what, all, (each) => measureKept(bench, each, connections, requests));
    const of = (name: string): number[] => column(costs.get(name), 'cpuUs');
    const toNginx = pairwise(of('countersign'), of('nginx'), ratio);
    const toSquid = pairwise(of('countersign'), of('squid'), ratio);
    lines.push([
      String(connections),
      ...['nginx', 'squid', 'bare relay', 'countersign'].map((name) => withShare(costs.get(name) ?? [])),
      shown(toNginx, 2),
      shown(toSquid, 2),
    ]);
    goals.push(atMost(`${what}: at most 1.5 × nginx's CPU a request`, toNginx, 1.5));
    goals.push(atMost(`${what}: at most 0.5 × squid's CPU a request`, toSquid, 0.5));
    for (const [name, each] of costs) {
      for (const key of ['cpuUs', 'perSecond', 'share', 'foreign'] as const) {
        figures[`${connections}.${name}.${key}`] = column(each, key);
      }
    }
  }
  await Promise.all([candidates.stop(), relay.stop()]);
  return {
    note: 'µs of CPU a request; in brackets behind it the share of its core that the candidate used.',
    head: ['connections', 'nginx', 'squid', 'bare relay', 'countersign', 'ratio to nginx', 'ratio to squid'],
    lines,
    goals,
    figures,
  };
}

async function measureKept(bench: Bench, candidate: Candidate, connections: number, requests: number): Promise<Cost> {
  const { way } = candidate;
  const kept = await KeptConnections.open(way, getRequest(way), connections);
  try {
    return await costOf(bench, candidate, requests, () => kept.run(requests));
  } finally {
    kept.close();
  }
}

function withShare(costs: readonly Cost[]): string {
  if (costs.length === 0) return 'not here';
  const share = costs.reduce((sum, cost) => sum + cost.share, 0) / costs.length;
  return `${shown(column(costs, 'cpuUs'), 0)} [${(share * 100).toFixed(0)} %]`;
}
