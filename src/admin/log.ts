/**
 * Duty: the diagnostic log, apart from the audit record.
 * Holds: fields are named here one by one; no head, no URL with a query, no error object goes in raw, for errors carry
 *   requests. pino's redaction is the second net only.
 */
import pino from 'pino';
import type { EgressError } from '../core/errors.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Constant message, small facts: numbers, codes, names from the policy. */
export type LogFacts = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
}

export function createLog(level: LogLevel, write: (line: string) => void): Log {
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: ['*.token', '*.key', '*.secret'] },
    { write },
  );
  const at =
    (severity: Exclude<LogLevel, 'silent'>) =>
    (message: string, facts: LogFacts = {}) =>
      logger[severity](facts, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** What may be logged of an error: its code, its safe detail, and the kind of its cause. */
export function errorFacts(error: EgressError): LogFacts {
  const cause = error.cause instanceof Error ? ((error.cause as NodeJS.ErrnoException).code ?? error.cause.name) : null;
  return { code: error.code, detail: error.detail, cause };
}
