/**
 * Duty: the jailed command as a process of the host, to hand signals on to it.
 * Holds: process 1 of the jail takes none from inside and the shell that it is hands none on, so a signal goes to the command
 *   itself, as to a child that was started without a jail.
 * Source: proc_pid_stat(5).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { kill } from 'node:process';

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Number of its controlling terminal, 0 where it has none; and the foreground group of that. */
  readonly terminal: number;
  readonly foreground: number;
  /** Since boot, in ticks. */
  readonly startedAt: number;
}

export function parseStat(text: string): Stat | null {
  // The name in parentheses may have any byte in it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const pid = Number.parseInt(text, 10);
  const [parent = 0, group = 0, terminal = 0, foreground = 0, startedAt = 0] = [1, 2, 4, 5, 19].map((i) =>
    Number(fields[i] ?? Number.NaN),
  );
  if ([pid, parent, group, terminal, foreground, startedAt].some(Number.isNaN)) return null;
  return { pid, parent, group, terminal, foreground, startedAt };
}

function statOf(pid: number | string): Stat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return null;
  }
}

/** Its children, the first born first; orphans of others, who came to it later, behind. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((pid) => statOf(pid) ?? [])
    .filter((stat) => stat.parent === parent)
    .sort((a, b) => a.startedAt - b.startedAt || a.pid - b.pid)
    .map(({ pid }) => pid);
}

/** Below `unshare`: process 1 of the jail, and below that the command. */
export function signalCommand(unsharePid: number, signal: NodeJS.Signals): void {
  const [first] = childrenOf(unsharePid);
  const [command] = first === undefined ? [] : childrenOf(first);
  try {
    if (command !== undefined) kill(command, signal);
  } catch {
    // It has just ended.
  }
}

/** Whether Ctrl-C reaches the command by itself: the terminal sends it to all of its foreground group. */
export function isInForeground(): boolean {
  const own = statOf('self');
  return own !== null && own.foreground === own.group;
}

/** A command can open it by /dev/tty, whatever its standard streams are. */
export const hasTerminal = (): boolean => (statOf('self')?.terminal ?? 0) !== 0;
