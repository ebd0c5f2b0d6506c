/**
 * Duty: what to tell the user of something thrown while a command ran, and the exit code.
 * Holds: the words hold no secret.
 * Not here: usage (commands.ts), which is answered without loading the tables of errors.
 */
import { ConfigurationError } from '../config/configuration-error.ts';
import { ERRORS, toEgressError } from '../core/errors.ts';
import { EXIT } from './command.ts';

export interface Failure {
  readonly text: string;
  /** Each line of the text says where itself, as `file:line:col`. */
  readonly isWholeLine: boolean;
  readonly exitCode: number;
}

export function describeFailure(thrown: unknown): Failure {
  const isWholeLine = thrown instanceof ConfigurationError;
  const { code, detail, cause } = toEgressError(thrown);
  const exitCode = code === 'configuration_invalid' ? EXIT.configuration : EXIT.internal;
  if (code !== 'internal') return { text: detail ?? ERRORS[code].title, isWholeLine, exitCode };
  const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : 'unknown';
  return { text: `internal error (${why})`, isWholeLine, exitCode };
}
