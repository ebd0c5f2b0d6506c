/**
 * Duty: how much our load generator flatters or harms: nginx's CPU a request under it and under wrk.
 * Why: a candidate that is not kept busy wakes up more often for less work at a time, so a request costs it more. Our generator
 *   is slower than nginx, and this says what that does to nginx's figures.
 */
import { spawn } from 'node:child_process';
import { type Candidate, PLACEHOLDER } from '../candidates/candidate.ts';
import { startJsonUpstream, startNginx } from '../candidates/nginx.ts';
import { KeptConnections } from '../load/closed-loop.ts';
import { getRequest } from '../load/requests.ts';
import { type Bench, NGINX_PORT, type Row, type RowResult, UPSTREAM_PORT } from '../row.ts';
import { pairwise, ratio, shown } from '../spread.ts';
import { type Cost, column, costOf, inTime, takeTurns } from '../turns.ts';

const CONNECTIONS = 64;

export const generator: Row = {
  name: 'generator',
  title: "the load generator itself: nginx's CPU a request under it and under wrk",
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const head = ['', 'µs of CPU a request', 'requests a second', 'share of its core'];
  if (bench.tools.wrk === null) {
    return { note: 'Left out: wrk is not here (apt-get install wrk).', head, lines: [], goals: [], figures: {} };
  }
  bench.progress('starting');
  const upstream = await startJsonUpstream(bench.room, UPSTREAM_PORT);
  const nginx = await startNginx(bench.room, NGINX_PORT, UPSTREAM_PORT);
  const seconds = bench.isQuick ? 1 : 3;
  const generators = [
    { name: 'ours', measure: () => underOurs(bench, nginx, bench.isQuick ? 2_000 : 20_000) },
    { name: 'wrk', measure: () => underWrk(bench, nginx, seconds) },
  ];
  for (const each of generators) await inTime('warming up', each.measure());
  const measured = await takeTurns(bench, 'nginx', generators, ({ measure }) => measure());
  await Promise.all([nginx.stop(), upstream.stop()]);
  const figures: Record<string, readonly number[]> = {};
  for (const [name, each] of measured) {
    for (const key of ['cpuUs', 'perSecond', 'share', 'foreign'] as const)
      figures[`${name}.${key}`] = column(each, key);
  }
  const ratios = pairwise(column(measured.get('ours'), 'cpuUs'), column(measured.get('wrk'), 'cpuUs'), ratio);
  return {
    note: `nginx, ${CONNECTIONS} kept connections. Under our generator its request costs ${shown(ratios, 2)} × what it costs under wrk: times this factor, the other rows' ratios to nginx at ${CONNECTIONS} connections are those to an nginx that wrk drives.`,
    head,
    lines: [...measured].map(([name, each]) => [
      name,
      shown(column(each, 'cpuUs'), 1),
      shown(column(each, 'perSecond'), 0),
      shown(column(each, 'share'), 2),
    ]),
    goals: [],
    figures: { ...figures, ratio: ratios },
  };
}

async function underOurs(bench: Bench, nginx: Candidate, requests: number): Promise<Cost> {
  const kept = await KeptConnections.open(nginx.way, getRequest(nginx.way), CONNECTIONS);
  try {
    return await costOf(bench, nginx, requests, () => kept.run(requests));
  } finally {
    kept.close();
  }
}

/** Its handshakes are in the figure, about a hundredth of it. It inherits the core of this process. */
async function underWrk(bench: Bench, nginx: Candidate, seconds: number): Promise<Cost> {
  let requests = 0;
  const whole = await costOf(bench, nginx, 1, async () => {
    const field = ['-H', `Authorization: ${PLACEHOLDER}`];
    const url = `https://127.0.0.1:${NGINX_PORT}/v1/models`;
    const text = await outputOf('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...field, url]);
    requests = Number(/([0-9]+) requests in/.exec(text)?.[1] ?? 0);
    if (requests === 0 || /Non-2xx|Socket errors/.test(text)) throw new Error(`wrk says: ${text}`);
  });
  return { ...whole, cpuUs: whole.cpuUs / requests, perSecond: whole.perSecond * requests };
}

function outputOf(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString('utf8');
    });
    child.stderr.on('data', (bytes: Buffer) => {
      text += bytes.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', () => resolve(text));
  });
}
