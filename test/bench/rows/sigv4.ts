/** Duty: what verifying the workload's AWS signature and making a new one costs a request, beside one with a bearer token. */
import type { Candidate } from '../candidates/candidate.ts';
import { type Countersign, startCountersign } from '../candidates/countersign.ts';
import { startJsonUpstream } from '../candidates/nginx.ts';
import { KeptConnections } from '../load/closed-loop.ts';
import { likeSigned, signedRequest } from '../load/requests.ts';
import { atMost, type Bench, COUNTERSIGN_PORT, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { difference, pairwise, shown } from '../spread.ts';
import { column, costOf, inTime, takeTurns } from '../turns.ts';

const CONNECTIONS = 64;

export const sigv4: Row = {
  name: 'sigv4',
  title: 'what an AWS signature adds to a request with a bearer token',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  bench.progress('starting');
  const upstream = await startJsonUpstream(bench.room, UPSTREAM_PORT);
  const proxy = await startCountersign(bench.room, COUNTERSIGN_PORT, UPSTREAM_PORT, bench.nodeFlags);
  const requests = bench.isQuick ? 600 : 12_000;
  const variants = ['bearer', 'SigV4'].map((name) => ({ name }));
  const measure = ({ name }: { readonly name: string }) => measureVariant(bench, proxy, name === 'SigV4', requests);
  for (const variant of variants) {
    bench.progress(`warming up ${variant.name}`);
    await inTime('warming up', measure(variant));
  }
  const costs = await takeTurns(bench, `${CONNECTIONS} connections`, variants, measure);
  await Promise.all([proxy.stop(), upstream.stop()]);
  const bearer = column(costs.get('bearer'), 'cpuUs');
  const signed = column(costs.get('SigV4'), 'cpuUs');
  const added = pairwise(signed, bearer, difference);
  return {
    note: `µs of CPU a request, ${CONNECTIONS} connections, requests of equal length. The proxy verifies the signature that the workload made with its placeholder, and signs anew.`,
    head: ['bearer', 'SigV4', 'difference'],
    lines: [[shown(bearer, 1), shown(signed, 1), shown(added, 1)]],
    goals: [atMost('SigV4 adds at most 15 µs', added, 15, 1)],
    figures: {
      'bearer.cpuUs': bearer,
      'bearer.foreign': column(costs.get('bearer'), 'foreign'),
      'SigV4.cpuUs': signed,
      'SigV4.foreign': column(costs.get('SigV4'), 'foreign'),
      addedUs: added,
    },
  };
}

async function measureVariant(bench: Bench, proxy: Countersign, isSigned: boolean, requests: number) {
  // Signed now: the proxy refuses a signature whose date is long ago.
  const signed = signedRequest(proxy.awsWay, proxy.instance);
  const candidate: Candidate = proxy;
  const kept = isSigned
    ? await KeptConnections.open(proxy.awsWay, signed, CONNECTIONS)
    : await KeptConnections.open(proxy.way, likeSigned(proxy.way, signed), CONNECTIONS);
  try {
    return await costOf(bench, candidate, requests, () => kept.run(requests));
  } finally {
    kept.close();
  }
}
