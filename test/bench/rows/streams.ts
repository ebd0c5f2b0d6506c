/** Duty: 5,000 event streams at once: the memory of each in the proxy, and how late an event comes. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startBareRelay } from '../candidates/bare-relay.ts';
import { type Candidate, direct } from '../candidates/candidate.ts';
import { startCountersign } from '../candidates/countersign.ts';
import { startNginx } from '../candidates/nginx.ts';
import { Client } from '../load/client.ts';
import { getRequest } from '../load/requests.ts';
import { EventStreams } from '../load/streams.ts';
import { residentKib } from '../room/proc.ts';
import { type Running, sleep } from '../room/room.ts';
import {
  atMost,
  BARE_RELAY_PORT,
  type Bench,
  COUNTERSIGN_PORT,
  NGINX_PORT,
  type Row,
  type RowResult,
  STREAM_UPSTREAM_PORT,
} from '../row.ts';
import { quantile, shown, sortedCopy } from '../spread.ts';
import { column, costOf, takeTurns } from '../turns.ts';

const EVENTS_PER_SECOND = 500;
const MAX_KIB = 30_000 / 1_024;
/** Opened and closed first, so that what is counted is streams and not code that was loaded for the first of them. */
const WARM_UP = 200;
const SETTLE_POLL_MS = 1_000;
const SETTLE_POLLS = 15;
/** For code that runs for the first time with the first events. */
const LEAD_MS = 1_000;
/** A second in which memory changes by less is a settled one. */
const SETTLED = 0.005;
/** 10,000 handshakes of the proxy are most of a turn. */
const TURN_MS = 600_000;
const UPSTREAM = fileURLToPath(new URL('../load/stream-upstream.ts', import.meta.url));

interface Measured {
  /** Quiet streams, whose answers have begun. */
  readonly kibOpened: number;
  /** The same, after events. */
  readonly kibUsed: number;
  readonly p50: number;
  readonly p99: number;
  readonly events: number;
  readonly cpuUs: number;
  readonly foreign: number;
}

export const streams: Row = {
  name: 'streams',
  title: '5,000 event streams at once: memory of each, and how late an event comes',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const count = bench.isQuick ? 300 : 5_000;
  checkDescriptors(count);
  // A process that had 5,000 streams once keeps their memory: every turn has a new one.
  const starters: { readonly name: string; start(): Promise<Candidate> }[] = [
    { name: 'direct', start: async () => direct(STREAM_UPSTREAM_PORT, bench.room.certificate.pem) },
    { name: 'nginx', start: () => startNginx(bench.room, NGINX_PORT, STREAM_UPSTREAM_PORT) },
    {
      name: 'bare relay',
      start: () => startBareRelay(bench.room, BARE_RELAY_PORT, STREAM_UPSTREAM_PORT, bench.nodeFlags),
    },
    {
      name: 'countersign',
      start: () => startCountersign(bench.room, COUNTERSIGN_PORT, STREAM_UPSTREAM_PORT, bench.nodeFlags),
    },
  ];
  const rounds = { ...bench, rounds: Math.min(3, bench.rounds) };
  const turn = async ({ start }: (typeof starters)[number]): Promise<Measured> => {
    const upstream = await startStreamUpstream(bench);
    const candidate = await start();
    try {
      return await measure(bench, candidate, count);
    } finally {
      await Promise.all([candidate.stop(), upstream.stop()]);
    }
  };
  const measured = await takeTurns(rounds, `${count} streams`, starters, turn, TURN_MS);
  const ours = measured.get('countersign');
  const figures: Record<string, readonly number[]> = {};
  for (const [name, each] of measured) {
    for (const key of ['kibOpened', 'kibUsed', 'p50', 'p99', 'events', 'cpuUs', 'foreign'] as const) {
      figures[`${name}.${key}`] = column(each, key);
    }
  }
  const p99Ms = column(ours, 'p99').map((us) => us / 1_000);
  return {
    note: `${count} streams, ${EVENTS_PER_SECOND} events a second over all of them. Memory is resident memory once it settled, after all streams opened and again after the events, less that of before. The delay is from the stamp that the upstream puts into an event to its arrival at the load generator, so the upstream's and the generator's own delay are in it: "direct" is those alone.`,
    head: ['', 'KiB a stream, opened', 'after events', 'p50, µs', 'p99, µs', 'µs of CPU an event'],
    lines: [...measured].map(([name, each]) => [
      name,
      ...(['kibOpened', 'kibUsed'] as const).map((key) => (name === 'direct' ? '' : shown(column(each, key), 1))),
      shown(column(each, 'p50'), 0),
      shown(column(each, 'p99'), 0),
      name === 'direct' ? '' : shown(column(each, 'cpuUs'), 0),
    ]),
    goals: [
      atMost('at most 30 KB (29.3 KiB) a stream, opened', column(ours, 'kibOpened'), MAX_KIB, 1),
      atMost('at most 30 KB (29.3 KiB) a stream, after events', column(ours, 'kibUsed'), MAX_KIB, 1),
      atMost('an event leaves within 5 ms (p99)', p99Ms, 5, 2),
    ],
    figures,
  };
}

export function startStreamUpstream({ room }: Bench): Promise<Running> {
  const { file, key } = room.certificate;
  const args = [UPSTREAM, String(STREAM_UPSTREAM_PORT), file, key];
  const core = room.cores.upstream;
  return room.start({ name: 'stream-upstream', core, command: process.execPath, args, port: STREAM_UPSTREAM_PORT });
}

async function measure(bench: Bench, candidate: Candidate, count: number): Promise<Measured> {
  const { way } = candidate;
  const pid = candidate.process?.pid ?? null;
  const first = new EventStreams();
  await setRate(bench, EVENTS_PER_SECOND);
  await first.open(way, WARM_UP);
  await first.watch(LEAD_MS);
  first.close();
  await setRate(bench, 0);
  await sleep(SETTLE_POLL_MS);
  const before = pid === null ? 0 : await settled(pid);
  const opened = new EventStreams();
  try {
    await opened.open(way, count);
    const after = pid === null ? 0 : await settled(pid);
    let delays: number[] = [];
    const seconds = bench.isQuick ? 3 : 15;
    await setRate(bench, EVENTS_PER_SECOND);
    await opened.watch(LEAD_MS);
    const cost = await costOf(bench, candidate, seconds * EVENTS_PER_SECOND, async () => {
      delays = sortedCopy(await opened.measure(seconds * 1_000));
    });
    await setRate(bench, 0);
    const used = pid === null ? 0 : await settled(pid);
    await opened.watch(0);
    return {
      kibOpened: (after - before) / count,
      kibUsed: (used - before) / count,
      p50: quantile(delays, 0.5),
      p99: quantile(delays, 0.99),
      events: delays.length,
      cpuUs: cost.cpuUs,
      foreign: cost.foreign,
    };
  } finally {
    opened.close();
  }
}

/** Asks the upstream itself. */
async function setRate(bench: Bench, eventsPerSecond: number): Promise<void> {
  const { way } = direct(STREAM_UPSTREAM_PORT, bench.room.certificate.pem);
  const client = await Client.open(way);
  await client.fetch(getRequest(way, `/rate/${eventsPerSecond}`)).finally(() => client.close());
}

/** Resident memory once it stays where it is, at the latest after 15 s. */
async function settled(pid: number): Promise<number> {
  let last = residentKib(pid);
  for (let poll = 0; poll < SETTLE_POLLS; poll++) {
    await sleep(SETTLE_POLL_MS);
    const now = residentKib(pid);
    if (Math.abs(now - last) < last * SETTLED) return now;
    last = now;
  }
  return last;
}

/** Node raises the soft limit to the hard one when it starts, and its children inherit that. */
function checkDescriptors(count: number): void {
  const needed = count * 2 + 1_000;
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  const limit = Number(line?.[1] ?? Number.POSITIVE_INFINITY);
  if (limit < needed) {
    throw new Error(
      `${count} streams need ${needed} open files and the limit is ${limit}: ulimit -Hn ${needed} as root, or prlimit`,
    );
  }
}
