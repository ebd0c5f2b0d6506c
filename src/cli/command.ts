/**
 * Duty: the words of the command line: what a command is and what it gets.
 * Source: exit codes after sysexits.h where one fits.
 */
import { parseDuration } from '../core/duration.ts';

export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** The process as commands see it; main.ts makes the real one, tests make theirs. */
export interface Terminal {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads a variable and removes it from the environment. */
  takeVariable(name: string): string | null;
  readonly workingDirectory: string;
  /** Path of the Node binary that runs this. */
  readonly nodePath: string;
  /** Flags that it was started with. */
  readonly nodeArguments: readonly string[];
  readonly nodeVersion: string;
  /** Path of the file that was started. */
  readonly launcher: string;
  readonly uid: number;
  readonly gid: number;
  /** As it was before this program took its own. */
  readonly umask: number;
  /** With that one; what it starts keeps it. */
  withUserMask<T>(start: () => T): T;
  /** Standard output is a terminal: colour is welcome. */
  readonly isTerminal: boolean;
  write(text: string): void;
  complain(text: string): void;
  /** Returns how to stop listening. */
  onSignal(listener: (signal: Signal) => void): () => void;
  onCrash(listener: (error: unknown) => void): void;
  exitNow(code: number): never;
}

export const EXIT = Object.freeze({
  ok: 0,
  /** `explain`: the request would be denied. `check`: warnings with --strict. */
  negative: 1,
  /** sysexits EX_USAGE. */
  usage: 64,
  /** EX_UNAVAILABLE: no proxy answers. */
  unavailable: 69,
  /** EX_SOFTWARE. */
  internal: 70,
  /** EX_CONFIG. */
  configuration: 78,
});

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** Placeholder in the help; absent for a switch. */
  readonly value?: string;
  /** Its only value, which may be left out: `--jail` and `--jail=try`. Left out it is the empty text. */
  readonly mayBe?: string;
  readonly multiple?: boolean;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  /** Behind the name, e.g. `[options] -- COMMAND [ARGUMENT…]`. */
  readonly usage: string;
  readonly summary: string;
  /** Paragraphs below the options. */
  readonly notes?: readonly string[];
  readonly options: readonly Option[];
  /** What its first word may be, for completion. */
  readonly words?: readonly string[];
  /** Takes words that are no options; elsewhere such a word is a mistake. */
  readonly takesWords?: boolean;
  run(terminal: Terminal, given: Given): Promise<number>;
}

export interface Given {
  flag(name: string): boolean;
  value(name: string): string | null;
  values(name: string): readonly string[];
  readonly positionals: readonly string[];
  /** What stands behind `--`. */
  readonly rest: readonly string[];
}

/** Said to the user as it is, with the way to the help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Said to the user as it is. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

const MAX_DURATION_MS = 7 * 24 * 3_600_000;

/** `30s`, `10m`, `8h`, at most seven days; null where the option is not given. @throws UsageError */
export function durationOption(given: Given, name: string): string | null {
  const text = given.value(name);
  if (text === null) return null;
  const durationMs = parseDuration(text);
  if (durationMs === null)
    throw new UsageError(`--${name} takes a duration such as 30s, 10m or 8h, not ${JSON.stringify(text)}`);
  if (durationMs > MAX_DURATION_MS) throw new UsageError(`--${name} is at most 168h`);
  return text;
}
