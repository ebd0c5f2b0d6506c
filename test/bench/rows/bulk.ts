/** Duty: 1 GiB down and up: how fast, for how much CPU, and whether memory stays flat. */
import type { Candidate } from '../candidates/candidate.ts';
import { direct } from '../candidates/candidate.ts';
import { startCountersign } from '../candidates/countersign.ts';
import { startNginx } from '../candidates/nginx.ts';
import { type Direction, transfer } from '../load/bulk.ts';
import { forgetPeak, peakKib, residentKib } from '../room/proc.ts';
import {
  atLeast,
  type Bench,
  COUNTERSIGN_PORT,
  type Goal,
  NGINX_PORT,
  type Row,
  type RowResult,
  STREAM_UPSTREAM_PORT,
} from '../row.ts';
import { pairwise, ratio, shown } from '../spread.ts';
import { column, costOf, inTime, takeTurns } from '../turns.ts';
import { startStreamUpstream } from './streams.ts';

const MIB = 1_048_576;
const MEGABYTE = 1_000_000;

interface Measured {
  /** By the clock on the wall. */
  readonly megabytesPerSecond: number;
  /** Had the candidate's core been full. */
  readonly megabytesPerCpuSecond: number;
  readonly share: number;
  readonly growthMib: number;
  readonly foreign: number;
}

export const bulk: Row = {
  name: 'bulk',
  title: '1 GiB down and up: rate against nginx, and growth of memory',
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  bench.progress('starting');
  const { room, nodeFlags } = bench;
  const bytes = (bench.isQuick ? 64 : 1_024) * MIB;
  const upstream = await startStreamUpstream(bench);
  const nginx = await startNginx(room, NGINX_PORT, STREAM_UPSTREAM_PORT);
  const countersign = await startCountersign(room, COUNTERSIGN_PORT, STREAM_UPSTREAM_PORT, nodeFlags);
  const all: readonly Candidate[] = [direct(STREAM_UPSTREAM_PORT, room.certificate.pem), nginx, countersign];
  const rounds = { ...bench, rounds: Math.min(3, bench.rounds) };
  const lines: string[][] = [];
  const goals: Goal[] = [];
  const figures: Record<string, readonly number[]> = {};
  for (const direction of ['down', 'up'] as const) {
    for (const candidate of all) {
      bench.progress(`warming up ${candidate.name}, ${direction}`);
      await inTime(
        `warming up ${candidate.name}, ${direction}`,
        transfer(candidate.way, direction, Math.min(bytes, 128 * MIB)),
      );
    }
    const measured = await takeTurns(rounds, `${bytes / MIB} MiB ${direction}`, all, (each) =>
      measure(bench, each, direction, bytes),
    );
    for (const [name, each] of measured) {
      lines.push([direction, name, ...cells(name, each)]);
      for (const key of ['megabytesPerSecond', 'megabytesPerCpuSecond', 'share', 'growthMib', 'foreign'] as const) {
        figures[`${direction}.${name}.${key}`] = column(each, key);
      }
    }
    for (const [key, words] of [
      ['megabytesPerSecond', 'rate'],
      ['megabytesPerCpuSecond', 'rate a CPU second'],
    ] as const) {
      const ratios = pairwise(column(measured.get('countersign'), key), column(measured.get('nginx'), key), ratio);
      goals.push(atLeast(`${direction}: at least 0.6 of nginx's ${words}`, ratios, 0.6));
      figures[`${direction}.ratio.${key}`] = ratios;
    }
  }
  await Promise.all([nginx.stop(), countersign.stop(), upstream.stop()]);
  return {
    note: `one body of ${bytes / MIB} MiB on one connection; nginx with proxy_buffering and proxy_request_buffering off, as the proxy buffers nothing either. Load and upstream share a core and may be the slower side ("direct" is their own rate): then only the rate a CPU second of the candidate tells the two apart, so both must meet the goal.`,
    head: ['', '', 'MB/s', 'MB a CPU second', 'share of its core', 'growth of memory at its peak, MiB'],
    lines,
    goals,
    figures,
  };
}

function cells(name: string, measured: readonly Measured[]): string[] {
  const rate = shown(column(measured, 'megabytesPerSecond'), 0);
  if (name === 'direct') return [rate, '', '', ''];
  return [
    rate,
    shown(column(measured, 'megabytesPerCpuSecond'), 0),
    shown(column(measured, 'share'), 2),
    shown(column(measured, 'growthMib'), 1),
  ];
}

async function measure(bench: Bench, candidate: Candidate, direction: Direction, bytes: number): Promise<Measured> {
  const pid = candidate.process?.pid ?? null;
  if (pid !== null) forgetPeak(pid);
  const before = pid === null ? 0 : residentKib(pid);
  const megabytes = bytes / MEGABYTE;
  const { perSecond, cpuUs, share, foreign } = await costOf(bench, candidate, megabytes, () =>
    transfer(candidate.way, direction, bytes),
  );
  const growthMib = pid === null ? 0 : (peakKib(pid) - before) / 1_024;
  return { megabytesPerSecond: perSecond, megabytesPerCpuSecond: 1_000_000 / cpuUs, share, growthMib, foreign };
}
