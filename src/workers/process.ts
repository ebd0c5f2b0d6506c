/**
 * Duty: one worker process from the outside.
 * In → Out: a program → its channel, its end.
 * Holds: it inherits standard streams and one nameless socket, and an empty environment; what it writes to standard error
 *   comes out of the owner's log, line by line.
 */
import { spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';

export interface WorkerProgram {
  readonly nodePath: string;
  /** Flags of Node, the file to start, its arguments. */
  readonly arguments: readonly string[];
}

/** Number of the descriptor at which a worker finds its channel. */
export const CHANNEL_FD = 3;
const MAX_LINE_LENGTH = 65_536;

export interface WorkerProcess {
  /** 0 where it could not be started. */
  readonly pid: number;
  readonly channel: Duplex;
  readonly ended: Promise<void>;
  /** SIGKILL. */
  kill(): void;
}

export function startProcess(program: WorkerProgram, log: (line: string) => void): WorkerProcess {
  const child = spawn(program.nodePath, program.arguments, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: {},
  });
  const [, , errors, channel] = child.stdio as unknown as [null, null, Readable, Duplex];
  readLines(errors, log);
  return {
    pid: child.pid ?? 0,
    channel,
    ended: new Promise((resolve) => {
      // Not `exit`: what it said before its end is read first.
      child.once('close', () => resolve());
      child.once('error', () => resolve());
    }),
    kill: () => void child.kill('SIGKILL'),
  };
}

function readLines(stream: Readable, log: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('error', () => {});
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE_LENGTH);
    for (const line of lines) log(`${line}\n`);
  });
}
