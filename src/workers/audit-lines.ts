/**
 * Duty: audit lines on the private channel.
 * In → Out: lines → `i<exchange> {…}` (intent), `c<exchange> {…}` (completion), `- {…}` (other), one a line, and back.
 * Holds: the JSON is made once, by the worker; a line break can stand in none of it, so the owner can chain it unread.
 */

import type { AuditLine } from '../audit/exchange-record.ts';
import { EgressError } from '../core/errors.ts';

export interface CarriedLine {
  readonly role: 'intent' | 'completion' | 'other';
  /** Empty for what is no exchange. */
  readonly exchange: string;
  readonly json: string;
}

const LINE = /^(?:([ic])([a-z0-9-]{1,64})|-) (\{".*\})$/;

export function carry(line: AuditLine): string {
  const { kind, exchange } = line;
  const mark = kind === 'intent' ? `i${exchange}` : kind === 'completion' ? `c${exchange}` : '-';
  return `${mark} ${JSON.stringify(line)}`;
}

/** @throws EgressError `internal`. */
export function readCarried(body: Buffer): CarriedLine[] {
  return body
    .toString('utf8')
    .split('\n')
    .map((text) => {
      const match = LINE.exec(text);
      if (match === null) throw new EgressError('internal', { detail: 'a worker sent what is no audit line' });
      const [, mark, exchange = '', json = ''] = match;
      return { role: mark === 'i' ? 'intent' : mark === 'c' ? 'completion' : 'other', exchange, json };
    });
}
