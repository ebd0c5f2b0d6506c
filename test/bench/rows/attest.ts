/**
 * Duty: how long a fresh connection waits to be identified by process selectors on a host with 2,000 processes.
 * Why: to find who holds a socket is to look into processes, and both a crowd of others and one of the same user may be in the
 *   way.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { sleep } from '../room/room.ts';
import { ATTEST_PORT, atMost, type Bench, type Row, type RowResult } from '../row.ts';
import { quantile, shown, sortedCopy } from '../spread.ts';

const PROCESSES = 2_000;
const LISTENER = fileURLToPath(new URL('../candidates/attesting-listener.ts', import.meta.url));
const CLIENT = fileURLToPath(new URL('../load/attest-client.ts', import.meta.url));
/** For the time that a round may take; they end by themselves after it, whatever happens. */
const SLEEP_S = 120;

export const attest: Row = {
  name: 'attest',
  title: `what identifying a fresh connection by process selectors takes, among ${PROCESSES.toLocaleString('en')} processes`,
  run,
};

async function run(bench: Bench): Promise<RowResult> {
  const isRoot = process.getuid?.() === 0;
  const client = isRoot ? 61_011 : (process.getuid?.() ?? 0);
  const { room, isQuick } = bench;
  const listener = await room.start({
    name: 'attesting-listener',
    core: room.cores.candidate,
    command: process.execPath,
    args: [...bench.nodeFlags, LISTENER, String(ATTEST_PORT), String(client)],
    port: ATTEST_PORT,
  });
  const connections = isQuick ? 100 : 300;
  const crowds = isRoot
    ? { "another user's": 61_010, "the workload's own user's": client }
    : { "the workload's own user's": client };
  const lines: string[][] = [];
  const figures: Record<string, number[]> = {};
  const p99s: Record<string, number[]> = {};
  for (const [whose, uid] of Object.entries(crowds)) {
    const [p50, p99] = [[] as number[], [] as number[]];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress(`${PROCESSES} processes of ${whose}, round ${round + 1} of ${bench.rounds}`);
      const crowd = await gather(bench, uid, isRoot);
      try {
        // The first connections find the crowd for the first time.
        await connectionsOf(client, isRoot, 20);
        const times = sortedCopy(await connectionsOf(client, isRoot, connections));
        p50.push(quantile(times, 0.5));
        p99.push(quantile(times, 0.99));
      } finally {
        crowd();
      }
    }
    lines.push([whose, shown(p50, 2), shown(p99, 2)]);
    p99s[whose] = p99;
    figures[`${uid === client ? 'same' : 'other'}.p50`] = p50;
    figures[`${uid === client ? 'same' : 'other'}.p99`] = p99;
  }
  await listener.stop();
  return {
    note: `${connections} connections one after another to a listener that identifies them by unix:uid, process:name and process:exe; 20 before them are not counted.`,
    head: [`${PROCESSES.toLocaleString('en')} processes are`, 'p50 in ms', 'p99 in ms'],
    lines,
    goals: Object.entries(p99s).map(([whose, values]) =>
      atMost(`p99 below 5 ms, the processes are ${whose}`, values, 5),
    ),
    figures,
  };
}

/** Starts the crowd; returns what ends it. */
async function gather(bench: Bench, uid: number, isRoot: boolean): Promise<() => void> {
  const script = `i=0; while [ $i -lt ${PROCESSES} ]; do sleep ${SLEEP_S} & i=$((i+1)); done; echo all; wait`;
  const shell = spawn('sh', ['-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
    ...(isRoot ? { uid, gid: uid } : {}),
  });
  const end = (): void => {
    try {
      if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
    } catch {
      // They have ended already.
    }
  };
  bench.room.adopt(end);
  await new Promise<void>((resolve, reject) => {
    shell.stdout?.once('data', () => resolve());
    shell.once('exit', () => reject(new Error(`${PROCESSES} processes could not be started`)));
  });
  await sleep(500);
  return end;
}

/** Time of each, in `ms`. @throws Error where one was not identified. */
async function connectionsOf(uid: number, isRoot: boolean, count: number): Promise<number[]> {
  const client: ChildProcess = spawn(process.execPath, [CLIENT, String(ATTEST_PORT), String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(isRoot ? { uid, gid: uid } : {}),
  });
  const said = client.stdout === null ? '' : await text(client.stdout);
  return said
    .trim()
    .split('\n')
    .map((line) => {
      const [us, name] = line.split(' ');
      if (name !== 'client') throw new Error(`a connection was identified as ${name ?? 'nothing'}`);
      return Number(us) / 1_000;
    });
}
