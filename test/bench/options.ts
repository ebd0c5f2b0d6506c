/**
 * Duty: what the command line of the benchmarks may say.
 * In → Out: arguments → BenchOptions, or a sentence that says what is wrong and what would be right.
 */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Names of rows, in the order of the table; never empty. */
  readonly rows: readonly string[];
  readonly rounds: number;
  /** Small numbers, to see that everything works; its figures mean nothing. */
  readonly isQuick: boolean;
  readonly isJson: boolean;
  /** Folder for CPU profiles of the proxy; null: none are taken. */
  readonly profile: string | null;
  readonly wantsHelp: boolean;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const MAX_ROUNDS = 50;

/** @throws UsageError */
export function parseBenchOptions(args: readonly string[], names: readonly string[]): BenchOptions {
  const { only, rounds, quick, json, profile, help } = read(args);
  const unknown = (only ?? []).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`there is no row ${JSON.stringify(unknown)}; the rows are ${names.join(', ')}`);
  }
  const isQuick = quick === true;
  return {
    rows: only === undefined ? names : names.filter((name) => only.includes(name)),
    rounds: rounds === undefined ? (isQuick ? 1 : 5) : wholeNumber(rounds),
    isQuick,
    isJson: json === true,
    profile: profile ?? null,
    wantsHelp: help === true,
  };
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        profile: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (thrown) {
    throw new UsageError(`${thrown instanceof Error ? thrown.message : String(thrown)}; --help lists the options`);
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= MAX_ROUNDS) return value;
  throw new UsageError(`--rounds ${text}: it must be a whole number from 1 to ${MAX_ROUNDS}`);
}

export function helpText(rows: readonly { readonly name: string; readonly title: string }[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return `npm run bench -- [--only ROW]... [--rounds N] [--quick] [--json] [--profile FOLDER]

  --only ROW        one row, or several by repeating it; all rows where it is left out
  --rounds N        repetitions of every measurement, 1 to ${MAX_ROUNDS}; 5 where it is left out
  --quick           small numbers and one round: shows that everything works, its figures mean nothing
  --json            one JSON document on standard output in place of the tables
  --profile FOLDER  a CPU profile of the proxy for each row and, on standard error, where its time went

Rows:
${rows.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n')}

BENCH_NODE_FLAGS: flags for the proxy's node, separated by spaces.
`;
}
