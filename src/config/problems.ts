/**
 * Duty: collects what is wrong and what is doubtful, each with its place.
 * Holds: no text gets in with a key in it; nothing is reported twice.
 * Fails: `ConfigurationError` from `assertNone`.
 */
import type { ConfigurationWarning } from './configuration.ts';
import { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
import { withoutSecrets } from './inline-secrets.ts';

export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Path = readonly (string | number)[];

const MAX_PROBLEMS = 500;
const MAX_QUOTED = 60;

export class ProblemList {
  readonly #problems: ConfigurationProblem[] = [];
  readonly #warnings: ConfigurationWarning[] = [];
  readonly #seen = new Set<string>();

  get count(): number {
    return this.#problems.length;
  }

  add(position: Position, path: Path, message: string, hint = ''): void {
    const problem = { ...plain(position), path: clean(formatPath(path)), message: clean(message), hint: clean(hint) };
    if (this.#problems.length < MAX_PROBLEMS && this.#isNew('problem', problem)) this.#problems.push(problem);
  }

  warn(position: Position, path: Path, message: string): void {
    const warning = { ...plain(position), path: clean(formatPath(path)), message: clean(message) };
    if (this.#warnings.length < MAX_PROBLEMS && this.#isNew('warning', warning)) this.#warnings.push(warning);
  }

  warnings(): ConfigurationWarning[] {
    return this.#warnings.toSorted(byPlace);
  }

  /** @throws ConfigurationError */
  assertNone(): void {
    if (this.#problems.length > 0) throw new ConfigurationError(this.#problems.toSorted(byPlace));
  }

  #isNew(what: string, entry: object): boolean {
    const key = `${what}${JSON.stringify(entry)}`;
    const isNew = !this.#seen.has(key);
    this.#seen.add(key);
    return isNew;
  }
}

const plain = ({ file, line, column }: Position): Position => ({ file, line, column });
const clean = (text: string): string => withoutSecrets(text);

function byPlace(one: Position, other: Position): number {
  if (one.file !== other.file) return one.file < other.file ? -1 : 1;
  return one.line - other.line || one.column - other.column;
}

/** `spec.rules[0].action` */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += /^[A-Za-z_][A-Za-z0-9_-]*$/.test(part) ? `${text === '' ? '' : '.'}${part}` : `[${quoted(part)}]`;
  }
  return text;
}

/** Text of the file as it may stand in a message: one line, not long, nothing invisible. */
export function quoted(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  return JSON.stringify(short).replace(/[^\x20-\x7e…]/g, '?');
}
