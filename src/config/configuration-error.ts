/**
 * Duty: everything that is wrong with a load, at once.
 * In → Out: problems → one error whose message has a line for each: `policy.yaml:4:9: what is wrong; what would be right`.
 * Holds: the text holds nothing that looks like a key, so it may be logged.
 */
import { EgressError } from '../core/errors.ts';

export interface ConfigurationProblem {
  readonly file: string;
  /** Counts from 1, as `column` does. */
  readonly line: number;
  readonly column: number;
  /** `spec.rules[0].action`; empty where it concerns the file. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** What would be right; empty where the message says it. */
  readonly hint: string;
}

export class ConfigurationError extends EgressError {
  /** Sorted by file, line and column; never empty. */
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly ConfigurationProblem[]) {
    const text = problems.map(formatProblem).join('\n');
    super('configuration_invalid', { detail: text });
    this.message = text;
    this.problems = problems;
  }
}

export function formatProblem({ file, line, column, message, hint }: ConfigurationProblem): string {
  return `${file}:${line}:${column}: ${message}${hint === '' ? '' : `; ${hint}`}`;
}
