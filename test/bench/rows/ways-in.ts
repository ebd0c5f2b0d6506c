/**
 * Duty: what a request costs that comes by another way than CONNECT: redirected by the kernel, or carried out of a jail.
 * Holds: the same proxy for all of them, on the candidate's core; of a jail the process that carries its bytes counts, too.
 *   What the kernel does for a redirect is in nobody's figure.
 */
import { fileURLToPath } from 'node:url';
import type { Way } from '../candidates/candidate.ts';
import { startCountersign } from '../candidates/countersign.ts';
import { startJsonUpstream } from '../candidates/nginx.ts';
import { costOfLoad, type Load } from '../request-load.ts';
import { cpuTimeUs } from '../room/proc.ts';
import type { Running } from '../room/room.ts';
import { BARE_RELAY_PORT, type Bench, COUNTERSIGN_PORT, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { pairwise, ratio, shown } from '../spread.ts';
import { type Cost, column, inTime, takeTurns } from '../turns.ts';

const RELAY = fileURLToPath(new URL('../load/relay-server.ts', import.meta.url));

const LOADS: readonly Load[] = [
  { what: '64 kept connections', connections: 64, requests: 12_000 },
  { what: 'fresh connections', connections: null, requests: 1_500 },
];

interface WayIn {
  readonly name: string;
  readonly way: Way;
  /** Whose work it is beside the proxy's. */
  readonly relay: Running | null;
}

export const waysIn: Row = {
  name: 'ways-in',
  title: 'CPU time a request that was redirected, or comes out of a jail, against one by CONNECT',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const { room, nodeFlags } = bench;
  const upstream = await startJsonUpstream(room, UPSTREAM_PORT);
  const proxy = await startCountersign(room, COUNTERSIGN_PORT, UPSTREAM_PORT, nodeFlags);
  const relay = await room.start({
    name: 'jail-relay',
    core: room.cores.candidate,
    command: process.execPath,
    args: [RELAY, String(BARE_RELAY_PORT), `http://bench:${proxy.instance.token}@127.0.0.1:${COUNTERSIGN_PORT}`],
    port: BARE_RELAY_PORT,
  });
  const ways: readonly WayIn[] = [
    { name: 'CONNECT', way: proxy.way, relay: null },
    { name: 'redirected', way: proxy.redirectedWay, relay: null },
    { name: 'out of a jail', way: proxy.wayBy(BARE_RELAY_PORT), relay },
  ];
  const measure = (wayIn: WayIn, load: Load): Promise<Cost> => costOfWay(bench, proxy, wayIn, load);
  for (const each of ways) {
    bench.progress(`warming up ${each.name}`);
    for (const load of LOADS)
      await inTime('warming up', measure(each, { ...load, requests: bench.isQuick ? 100 : 1_000 }));
  }
  const lines: string[][] = [];
  const figures: Record<string, readonly number[]> = {};
  for (const load of LOADS) {
    const asked = { ...load, requests: bench.isQuick ? Math.min(200, load.requests) : load.requests };
    const costs = await takeTurns(bench, load.what, ways, (each) => measure(each, asked));
    const [byConnect, ...others] = ways.map(({ name }) => column(costs.get(name), 'cpuUs')) as [
      number[],
      ...number[][],
    ];
    lines.push([
      load.what,
      shown(byConnect, 0),
      ...others.map((each) => `${shown(each, 0)}, ${shown(pairwise(each, byConnect, ratio), 2)} ×`),
    ]);
    for (const { name } of ways) figures[`${load.what}.${name}.cpuUs`] = column(costs.get(name), 'cpuUs');
  }
  await Promise.all([proxy.stop(), relay.stop(), upstream.stop()]);
  return {
    note: 'µs of CPU a request, of the proxy and, out of a jail, of the process that carries its bytes, all on one core; and how much of what CONNECT costs. A redirected connection is identified by the kernel (unix:uid), the others by their token.',
    head: ['', ...ways.map(({ name }) => name)],
    lines,
    goals: [],
    figures,
  };
}

async function costOfWay(
  bench: Bench,
  proxy: Awaited<ReturnType<typeof startCountersign>>,
  { way, relay }: WayIn,
  load: Load,
): Promise<Cost> {
  const before = relay === null ? 0 : cpuTimeUs(relay.pid);
  const cost = await costOfLoad(bench, { ...proxy, way }, load);
  const ofRelay = relay === null ? 0 : cpuTimeUs(relay.pid) - before;
  return { ...cost, cpuUs: cost.cpuUs + ofRelay / load.requests };
}
