/** Duty: what a candidate adds to the time of a request while it is far from full: 1,000 requests a second. */
import { startCandidates } from '../candidates/all.ts';
import { direct } from '../candidates/candidate.ts';
import { runAtRate } from '../load/open-loop.ts';
import { getRequest } from '../load/requests.ts';
import { type Bench, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { difference, pairwise, quantile, shown, sortedCopy } from '../spread.ts';
import { column, inTime, takeTurns } from '../turns.ts';

const RATE = 1_000;
const CONNECTIONS = 64;

export const latency: Row = {
  name: 'latency',
  title: `added latency at a fixed ${RATE} requests a second, against the direct upstream and nginx`,
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const candidates = await startCandidates(bench);
  const all = [direct(UPSTREAM_PORT, bench.room.certificate.pem), ...candidates.all];
  const schedule = { ratePerSecond: RATE, requests: RATE * (bench.isQuick ? 1 : 6), connections: CONNECTIONS };
  const measure = async ({ way }: (typeof all)[number]) => {
    const sorted = sortedCopy(await runAtRate(way, getRequest(way), schedule));
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), highest: sorted.at(-1) ?? Number.NaN };
  };
  for (const candidate of all) {
    bench.progress(`warming up ${candidate.name}`);
    await inTime('warming up', measure(candidate));
  }
  const measured = await takeTurns(bench, `${RATE} requests a second`, all, measure);
  await candidates.stop();
  const figures: Record<string, readonly number[]> = {};
  const lines = [...measured].map(([name, each]) => {
    const line = [name];
    for (const key of ['p50', 'p99'] as const) {
      const values = column(each, key);
      const added = pairwise(values, column(measured.get('direct'), key), difference);
      figures[`${name}.${key}Us`] = values;
      figures[`${name}.added.${key}Us`] = added;
      line.push(shown(values, 0), name === 'direct' ? '' : shown(added, 0));
    }
    figures[`${name}.highestUs`] = column(each, 'highest');
    return line;
  });
  return {
    note: `µs from the moment at which a request was due to the end of its answer; ${CONNECTIONS} kept connections; the clock decides when a request is due, so a stall counts for all that were due in it. "Added" is against the direct upstream in the same round.`,
    head: ['', 'p50', 'added', 'p99', 'added'],
    lines,
    goals: [],
    figures,
  };
}
