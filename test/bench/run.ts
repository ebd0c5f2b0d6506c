/**
 * Duty: `npm run bench`: runs the rows one after another and prints what they measured; progress goes to standard error.
 * Holds: whatever happens, Ctrl-C included, no process and no file is left behind.
 * Fails: exit 64 for a wrong option, 69 where a program or a core is missing, 1 where a row failed; the rows before it are
 *   printed all the same.
 * Not here: how a row measures (rows/), who is measured (candidates/), what the figures mean (README.md beside this).
 */
import { join } from 'node:path';
import { AWS_HOST, HOST } from './candidates/candidate.ts';
import { helpText, parseBenchOptions, UsageError } from './options.ts';
import { profileFlags, summaryOf } from './profile.ts';
import { markdownOf, reportOf } from './report.ts';
import { chooseCores, moveSelf } from './room/cores.ts';
import { Room } from './room/room.ts';
import { findTools } from './room/tools.ts';
import type { Row, RowResult } from './row.ts';
import { attest } from './rows/attest.ts';
import { bulk } from './rows/bulk.ts';
import { freshTunnel } from './rows/fresh-tunnel.ts';
import { generator } from './rows/generator.ts';
import { instances } from './rows/instances.ts';
import { keepAlive } from './rows/keep-alive.ts';
import { latency } from './rows/latency.ts';
import { herd, leases } from './rows/leases.ts';
import { sigv4 } from './rows/sigv4.ts';
import { streams } from './rows/streams.ts';
import { waysIn } from './rows/ways-in.ts';
import { workers } from './rows/workers.ts';

const ROWS: readonly Row[] = [
  keepAlive,
  sigv4,
  freshTunnel,
  waysIn,
  latency,
  streams,
  bulk,
  workers,
  instances,
  attest,
  leases,
  herd,
  generator,
];
const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;
const EXIT_INTERRUPTED = 130;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = parseBenchOptions(
      process.argv.slice(2),
      ROWS.map(({ name }) => name),
    );
    if (options.wantsHelp) process.stdout.write(helpText(ROWS));
    else return await measure(options);
    return 0;
  } catch (thrown) {
    complain(thrown);
    return thrown instanceof UsageError ? EXIT_USAGE : EXIT_UNAVAILABLE;
  }
}

async function measure(options: ReturnType<typeof parseBenchOptions>): Promise<number> {
  const tools = findTools();
  const cores = chooseCores();
  moveSelf(cores.load);
  const results: { row: Row; result: RowResult }[] = [];
  let failed = false;
  for (const row of ROWS.filter(({ name }) => options.rows.includes(name))) {
    const profile = options.profile === null ? null : join(options.profile, row.name);
    const nodeFlags = [
      ...(process.env['BENCH_NODE_FLAGS']?.split(' ').filter((flag) => flag !== '') ?? []),
      ...(profile === null ? [] : profileFlags(profile)),
    ];
    const room = new Room(cores, [HOST, AWS_HOST]);
    const leave = cleanUpOnSignals(room);
    const { rounds, isQuick } = options;
    const progress = (text: string): void => tell(`${row.name}: ${text}`);
    try {
      const result = await row.run({ room, tools, rounds, isQuick, nodeFlags, progress });
      results.push({ row, result });
    } catch (thrown) {
      failed = true;
      if (!room.isClosing) complain(thrown, row.name);
    } finally {
      await room.close();
      leave();
      tell('');
    }
    if (profile !== null) process.stderr.write(`${summaryOf(profile)}\n\n`);
  }
  const report = reportOf(tools, options, results);
  process.stdout.write(options.isJson ? `${JSON.stringify(report, null, 2)}\n` : markdownOf(report));
  return failed ? 1 : 0;
}

/** Returns what takes the listeners off again. */
function cleanUpOnSignals(room: Room): () => void {
  const onSignal = (): void => {
    void room.close().then(() => process.exit(EXIT_INTERRUPTED));
  };
  const onExit = (): void => room.abandon();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.on('exit', onExit);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off('exit', onExit);
  };
}

/** On a terminal one line that changes. */
function tell(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== '') process.stderr.write(`${text}\n`);
}

function complain(thrown: unknown, row?: string): void {
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  tell('');
  process.stderr.write(`bench: ${row === undefined ? '' : `the row ${row} failed: `}${words}\n`);
}
