/**
 * Duty: what 10,000 workloads with leases of 15 minutes cost one process, and whether that stays the same; and how long a herd of
 *   first requests waits for the one login and the one read that it makes.
 * Holds: the engine is the product's, with its journal; the embedded Vault is in a process of its own. Time runs eight times as fast
 *   for both, so that each lease is replaced within a minute or two; CPU is told for a minute of that time. The workloads come one
 *   after the other within the life of a lease, as they do; all at once is the other row.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuTimeUs } from '../room/proc.ts';
import { type Running, sleep } from '../room/room.ts';
import { atMost, type Bench, LEASE_ENGINE_PORT, LEASE_VAULT_PORT, type Row, type RowResult } from '../row.ts';
import { shown } from '../spread.ts';

const WORKLOADS = 10_000;
const HERD = 1_000;
const SPEED = 8;
const MINUTE_MS = 60_000;
/** Of told time, as all below. About when the first lease is replaced. */
const ARRIVAL_MINUTES = 9;
const WARM_MINUTES = 2;
const MINUTES = 12;
const SHARE = 0.1;
const FLAT = 1.3;
const HERD_MS = 500;

interface Figures {
  readonly ms: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly live: number;
  readonly heapBytes: number;
}

interface Engine {
  readonly running: Running;
  ask(path: string, method?: string): Promise<Figures>;
  stop(): Promise<void>;
}

export const leases: Row = {
  name: 'leases',
  title: `CPU and memory of ${WORKLOADS.toLocaleString('en')} workloads with leases of 15 minutes in one process`,
  run: runLeases,
};

export const herd: Row = {
  name: 'herd',
  title: `${HERD.toLocaleString('en')} first requests of one workload at once`,
  run: runHerd,
};

async function begin(bench: Bench, speed: number): Promise<Engine> {
  const { room, nodeFlags } = bench;
  const program = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const world = join(room.folder, `lease-world-${Date.now()}.json`);
  const time = [String(speed), String(Date.now())];
  const node = { command: process.execPath };
  const vault = await room.start({
    ...{ ...node, name: 'lease-vault', core: room.cores.upstream, port: LEASE_VAULT_PORT },
    args: [program('../load/lease-vault.ts'), String(LEASE_VAULT_PORT), ...time, world],
  });
  for (let i = 0; i < 100 && !existsSync(world); i++) await sleep(50);
  const running = await room.start({
    ...{ ...node, name: 'lease-engine', core: room.cores.candidate, port: LEASE_ENGINE_PORT },
    args: [
      ...[...nodeFlags, '--expose-gc', program('../candidates/lease-engine.ts')],
      ...[String(LEASE_ENGINE_PORT), ...time, world, `${world}.journal`],
    ],
  });
  return {
    running,
    ask: async (path, method = 'POST') => {
      const answer = await fetch(`http://127.0.0.1:${LEASE_ENGINE_PORT}${path}`, { method });
      if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
      return (await answer.json()) as Figures;
    },
    stop: async () => void (await Promise.all([running.stop(), vault.stop()])),
  };
}

async function runLeases(bench: Bench): Promise<RowResult> {
  const workloads = bench.isQuick ? 200 : WORKLOADS;
  const [arrival, warm, minutes] = bench.isQuick ? [1, 1, 2] : [ARRIVAL_MINUTES, WARM_MINUTES, MINUTES];
  const engine = await begin(bench, SPEED);
  bench.progress(`${workloads} first requests`);
  await engine.ask(`/fill?count=${workloads}&overMs=${(arrival * MINUTE_MS) / SPEED}`);
  const toldMinute = async (): Promise<{ cpuS: number; figures: Figures }> => {
    const before = cpuTimeUs(engine.running.pid);
    const until = performance.now() + MINUTE_MS / SPEED;
    // Each workload asks once a minute: a lease that nobody uses is not replaced.
    await engine.ask(`/fill?count=${workloads}&overMs=${MINUTE_MS / SPEED / 2}`);
    await sleep(until - performance.now());
    const cpuS = (cpuTimeUs(engine.running.pid) - before) / 1_000_000;
    return { cpuS, figures: await engine.ask('/figures', 'GET') };
  };
  bench.progress(`${warm} minutes of told time to warm up`);
  for (let minute = 0; minute < warm; minute++) await toldMinute();
  const cpu: number[] = [];
  const heap: number[] = [];
  const before = (await engine.ask('/figures', 'GET')).counts;
  let last: Figures | null = null;
  for (let minute = 0; minute < minutes; minute++) {
    bench.progress(`told minute ${minute + 1} of ${minutes}`);
    const { cpuS, figures } = await toldMinute();
    cpu.push(cpuS);
    heap.push(figures.heapBytes / workloads / 1_024);
    last = figures;
  }
  const since = (kind: string): number => (last?.counts[kind] ?? 0) - (before[kind] ?? 0);
  await engine.stop();
  const third = Math.ceil(cpu.length / 3);
  const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
  const growth = mean(cpu.slice(-third)) / mean(cpu.slice(0, third));
  const shares = cpu.map((seconds) => seconds / 60);
  const failed = since('failed') + since('expired');
  return {
    note: `${workloads} leases of 15 minutes, each asked for once a minute, ${minutes} minutes of told time after ${warm} of warming up; ${since('obtained')} replacements, ${failed} failed or lapsed. The CPU is that of login, read, journal and revocation, without the Vault's.`,
    head: ['', 'CPU seconds a minute', 'share of a core', 'heap a lease in KiB', 'last third by the first'],
    lines: [['leases', shown(cpu, 2), shown(shares, 4), shown(heap, 1), growth.toFixed(2)]],
    goals: [
      atMost(`at most ${SHARE} of a core`, shares, SHARE, 3),
      atMost('flat: the last third of the minutes costs no more than the first', [growth], FLAT),
      atMost('none failed', [failed], 0, 0),
    ],
    figures: { cpu, heap, growth: [growth] },
  };
}

async function runHerd(bench: Bench): Promise<RowResult> {
  const count = bench.isQuick ? 100 : HERD;
  const engine = await begin(bench, 1);
  const times: number[] = [];
  await engine.ask('/herd?name=warm&count=1');
  for (let round = 0; round < bench.rounds * 5; round++) {
    const before = (await engine.ask('/figures', 'GET')).counts['obtained'] ?? 0;
    const { ms, counts } = await engine.ask(`/herd?name=herd-${round}&count=${count}`);
    if ((counts['obtained'] ?? 0) - before !== 1) throw new Error('a herd obtained more than one lease');
    times.push(ms);
  }
  await engine.stop();
  return {
    note: `${count} requests of one moment, ${times.length} times, each by a workload that had none: one login and one read each time, or the row fails.`,
    head: ['', 'all served after ms'],
    lines: [['herd', shown(times, 1)]],
    goals: [atMost(`all served within ${HERD_MS} ms`, times, HERD_MS, 1)],
    figures: { times },
  };
}
