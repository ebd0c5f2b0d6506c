/**
 * Duty: a worker process of a proxy; no command for people.
 * Holds: signals go to the whole group of a terminal or a unit, and mean nothing here: the owner says when to end, or is gone.
 */
import { fstatSync } from 'node:fs';
import { EXIT, type Terminal } from './command.ts';

const WORKER = 'worker';
const CHANNEL_FD = 3;
const CRASH_DRAIN_MS = 5_000;

/** What a proxy starts where its policy says `workers`. */
export const workerProgram = (terminal: Terminal): { nodePath: string; arguments: readonly string[] } => ({
  nodePath: terminal.nodePath,
  arguments: [...terminal.nodeArguments, terminal.launcher, WORKER],
});

/** Whether a proxy started this process: nobody else leaves a socket there. */
export function isWorker(terminal: Terminal): boolean {
  if (terminal.arguments.length !== 1 || terminal.arguments[0] !== WORKER) return false;
  try {
    return fstatSync(CHANNEL_FD).isSocket();
  } catch {
    return false;
  }
}

export async function runWorker(terminal: Terminal): Promise<number> {
  terminal.onSignal(() => {});
  const { openWorker } = await import('../worker.ts');
  const worker = openWorker((line) => terminal.complain(line));
  terminal.onCrash(() => {
    terminal.complain('countersign: internal error in a worker; ending it\n');
    void worker.leave(CRASH_DRAIN_MS).finally(() => terminal.exitNow(EXIT.internal));
  });
  await worker.ended;
  return terminal.exitNow(EXIT.ok);
}
