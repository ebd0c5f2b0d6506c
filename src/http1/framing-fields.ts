/**
 * Duty: what the fields that frame a message and keep a connection say, or that they could be read in two ways.
 * Holds: one Content-Length of decimal digits or one Transfer-Encoding of exactly `chunked`; anything else has a name.
 * Fails: `malformed` of the `CodecFaults`.
 * Source: RFC 9112 §6, §9.3; RFC 9110 §6.5.1, §7.6.1, §8.6. Stricter: repetitions are refused even where they agree.
 * Not here: which codes a direction gives to it (request-parser.ts, response-parser.ts).
 */
import { EgressError } from '../core/errors.ts';
import { belongsIntoHead, isToken, plainLength } from '../core/http-grammar.ts';
import { type FieldSection, trimOuterSpace } from './field-section.ts';
import type { CodecFaults } from './wire-input.ts';

const NO_OPTIONS: readonly string[] = [];

/** Options of the Connection fields in lower case. @throws EgressError where one is no token. */
export function connectionOptions(values: readonly string[], faults: CodecFaults): readonly string[] {
  if (values.length === 0) return NO_OPTIONS;
  const options: string[] = [];
  for (const value of values) {
    for (const part of value.split(',')) {
      const option = trimOuterSpace(part);
      if (option === '') continue;
      if (!isToken(option)) throw malformed(faults, 'a Connection option that is not a token');
      options.push(option.toLowerCase());
    }
  }
  return options;
}

/** Whether the connection may carry another message (RFC 9112 §9.3). */
export function isKeptAlive(options: readonly string[], version: '1.0' | '1.1'): boolean {
  if (options.includes('close')) return false;
  return version === '1.1' || options.includes('keep-alive');
}

/** Null where there is none. @throws EgressError where it is repeated, a list, or no plain decimal number. */
export function contentLength(values: readonly string[], faults: CodecFaults): number | null {
  if (values.length === 0) return null;
  const [value = ''] = values;
  if (values.length > 1) throw malformed(faults, 'more than one Content-Length field');
  const length = plainLength(value);
  if (length === null) throw malformed(faults, 'Content-Length is not a plain decimal number');
  return length;
}

/** `chunked`: that and nothing else. `unknown`: well-formed, another coding named. `broken`: repeated or not a list of codings. */
export function transferCoding(values: readonly string[]): 'chunked' | 'unknown' | 'broken' {
  const [value = ''] = values;
  if (values.length !== 1) return 'broken';
  if (value === 'chunked') return 'chunked';
  const codings = value.split(',').map((part) => trimOuterSpace(part));
  if (!codings.every((coding) => isToken(coding))) return 'broken';
  const lower = codings.map((coding) => coding.toLowerCase());
  if (lower.length === 1) return lower[0] === 'chunked' ? 'chunked' : 'unknown';
  // `chunked` once and last is lawful but more than we speak; anywhere else it hides the end of the body.
  const first = lower.indexOf('chunked');
  return first === -1 || first === lower.length - 1 ? 'unknown' : 'broken';
}

/** @throws EgressError where a trailer belongs into the head (RFC 9110 §6.5.1). */
export function checkTrailers({ fields, hasAlias }: FieldSection, faults: CodecFaults): void {
  if (hasAlias || fields.some(({ key }) => belongsIntoHead(key))) {
    throw malformed(faults, 'a trailer field that belongs into the head');
  }
}

function malformed(faults: CodecFaults, detail: string): EgressError {
  return new EgressError(faults.malformed, { detail });
}
