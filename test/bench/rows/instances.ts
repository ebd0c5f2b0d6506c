/**
 * Duty: what an instance costs from its creation to its end, and what share of a core 500 of them a minute take.
 * Holds: each has a credential of its own: a login at the embedded Vault as the workload, a key of a dynamic engine, and the
 *   revocation of both. That Vault is in the candidate's process, so its CPU is in the figures.
 */
import { createClient } from '../../../src/client/client.ts';
import { type Countersign, startCountersign } from '../candidates/countersign.ts';
import { startJsonUpstream } from '../candidates/nginx.ts';
import { Client } from '../load/client.ts';
import { getRequest } from '../load/requests.ts';
import { sleep } from '../room/room.ts';
import { atMost, type Bench, COUNTERSIGN_PORT, type Goal, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { shown } from '../spread.ts';
import { type Cost, column, costOf, inTime, takeTurns } from '../turns.ts';

const WORKLOAD = 'spawned';
const TTL = '5m';
const CONCURRENT = 8;
const PER_MINUTE = 500;
const PACED_S = 30;
const EASY = 0.1;

interface Load {
  readonly what: string;
  readonly asks: boolean;
  readonly revokes: boolean;
  readonly count: number;
  /** Null: as many as it carries. */
  readonly everyMs: number | null;
}

const LOADS: readonly Load[] = [
  { what: 'create', asks: false, revokes: false, count: 2_000, everyMs: null },
  { what: 'create, one request', asks: true, revokes: false, count: 500, everyMs: null },
  { what: 'create, one request, revoke', asks: true, revokes: true, count: 500, everyMs: null },
  {
    what: `the same, ${PER_MINUTE} a minute`,
    asks: true,
    revokes: true,
    count: (PER_MINUTE * PACED_S) / 60,
    everyMs: 60_000 / PER_MINUTE,
  },
];

export const instances: Row = {
  name: 'instances',
  title: `CPU time of an instance with a credential of its own, and the share of a core that ${PER_MINUTE} a minute take`,
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const upstream = await startJsonUpstream(bench.room, UPSTREAM_PORT);
  const candidate = await startCountersign(bench.room, COUNTERSIGN_PORT, UPSTREAM_PORT, bench.nodeFlags);
  const lines: string[][] = [];
  const goals: Goal[] = [];
  const figures: Record<string, readonly number[]> = {};
  bench.progress('warming up');
  await inTime('warming up', live(candidate, { ...atFull(LOADS[2]), count: bench.isQuick ? 50 : 500 }));
  for (const load of LOADS) {
    const asked = { ...load, count: bench.isQuick ? Math.min(50, load.count) : load.count };
    const measured = await takeTurns(bench, load.what, [candidate], (each) =>
      costOf(bench, each, asked.count, () => live(each, asked)),
    );
    const costs: Cost[] = measured.get(candidate.name) ?? [];
    const cpuUs = column(costs, 'cpuUs');
    const rate = load.everyMs === null ? column(costs, 'perSecond').map((each) => each * 60) : [];
    // Where they come at their pace the core was read; elsewhere the same follows from the cost of one.
    const shares = load.everyMs === null ? cpuUs.map((us) => (us * PER_MINUTE) / 60_000_000) : column(costs, 'share');
    lines.push([load.what, shown(cpuUs, 0), rate.length === 0 ? String(PER_MINUTE) : shown(rate, 0), shown(shares, 3)]);
    if (load.revokes) goals.push(atMost(`${load.what}: 500 a minute take at most a tenth of a core`, shares, EASY, 3));
    figures[`${load.what}.cpuUs`] = cpuUs;
    figures[`${load.what}.perSecond`] = column(costs, 'perSecond');
    figures[`${load.what}.share`] = shares;
  }
  await Promise.all([candidate.stop(), upstream.stop()]);
  return {
    note: `${CONCURRENT} at a time: each instance has its own tunnel, login, key and audit records. The CPU is that of the proxy and of the Vault in its process; the rate is what one core for load and upstream could ask for.`,
    head: ['', 'µs of CPU an instance', 'a minute', `share of a core at ${PER_MINUTE} a minute`],
    lines,
    goals,
    figures,
  };
}

function atFull(load: Load | undefined): Load {
  if (load === undefined) throw new Error('there is no such load');
  return { ...load, everyMs: null };
}

/** So many lives of instances; where they are paced, each begins when it is due, whatever became of the others. */
async function live(candidate: Countersign, load: Load): Promise<void> {
  const client = createClient({ socketPath: candidate.adminSocket, name: 'bench' });
  const one = async (): Promise<void> => {
    const { id, token } = await client.create({ workload: WORKLOAD, ttl: TTL });
    if (load.asks) await askAs(candidate, token);
    if (load.revokes) {
      const ended = await client.revoke(id);
      if (ended?.leasesRevoked !== 1)
        throw new Error('the instance had no lease of its own, or it could not be revoked');
    }
  };
  if (load.everyMs !== null) {
    const { everyMs } = load;
    await Promise.all(Array.from({ length: load.count }, (_, i) => sleep(i * everyMs).then(one)));
    return;
  }
  let left = load.count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, lane));
}

async function askAs({ way }: Countersign, token: string): Promise<void> {
  const own = { ...way, tunnel: way.tunnel === null ? null : { ...way.tunnel, authorization: `Bearer ${token}` } };
  const client = await Client.open(own);
  try {
    await client.fetch(getRequest(own));
  } finally {
    client.close();
  }
}
