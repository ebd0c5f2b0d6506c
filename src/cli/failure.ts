/**
 * Duty: what to tell the user of something thrown while a command ran, and the exit code.
 * Holds: the words hold no secret.
 * Not here: usage (commands.ts), which is answered without loading the tables of errors.
 */
import { ConfigurationError } from '../config/configuration-error.ts';
import { ERRORS, type ErrorCode, toEgressError } from '../core/errors.ts';
import { EXIT } from './command.ts';

export interface Failure {
  readonly text: string;
  /** Each line of the text says where itself, as `file:line:col`. */
  readonly isWholeLine: boolean;
  readonly exitCode: number;
}

const EXIT_CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  configuration_invalid: EXIT.configuration,
  authority_malformed: EXIT.usage,
  request_malformed: EXIT.usage,
};

export function describeFailure(thrown: unknown): Failure {
  const isWholeLine = thrown instanceof ConfigurationError;
  const { code, detail, cause } = toEgressError(thrown);
  const exitCode = EXIT_CODES[code] ?? EXIT.internal;
  if (code !== 'internal') return { text: detail ?? ERRORS[code].title, isWholeLine, exitCode };
  const refused = refusalOfSystem(cause);
  if (refused !== null) return { text: refused, isWholeLine, exitCode: EXIT.configuration };
  const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : 'unknown';
  return { text: `internal error (${why})`, isWholeLine, exitCode };
}

const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; run as the user that owns it, or choose another place with COUNTERSIGN_STATE_DIR',
  EPERM: 'not permitted; run as the user that owns it, or choose another place with COUNTERSIGN_STATE_DIR',
  EROFS: 'the file system is read-only; choose another place with COUNTERSIGN_STATE_DIR',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
};

/** What the file system said no to, with the next step; null for any other failure. */
function refusalOfSystem(cause: unknown): string | null {
  const { code = '', path } = (cause ?? {}) as NodeJS.ErrnoException;
  const why = REFUSALS[code];
  return why === undefined || path === undefined ? null : `cannot use ${path}: ${why}`;
}
