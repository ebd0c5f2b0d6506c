/**
 * Duty: names and values of an urlencoded form or a query, as far as a decision needs them.
 * Holds: nothing is dropped in silence: what two decoders could read differently makes the whole thing unreadable (null).
 * Source: WHATWG URL §5.1 (application/x-www-form-urlencoded), narrowed to what AWS SDKs send.
 * Not here: canonical queries for signatures (injection/sigv4).
 */
import { unescaped } from '../core/percent-escapes.ts';

export interface Parameter {
  readonly name: string;
  readonly value: string;
}

/** Null where the text is not plain ASCII, has a malformed escape or uses `;` as a separator. */
export function parseForm(text: string): Parameter[] | null {
  if (!/^[\x21-\x3a\x3c-\x7e]*$/.test(text)) return null;
  const parameters: Parameter[] = [];
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = decode(equals === -1 ? '' : pair.slice(equals + 1));
    if (name === null || value === null) return null;
    parameters.push({ name, value });
  }
  return parameters;
}

/** Each escaped byte becomes the Latin-1 character of that number. */
function decode(text: string): string | null {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  return /%(?![0-9A-Fa-f]{2})/.test(spaced) ? null : unescaped(spaced);
}
