/**
 * Duty: reads percent-escaped text.
 * In → Out: text → the same with its escapes as characters.
 * Holds: Latin-1: one byte, one character; what is no escape stays as it is.
 * Source: RFC 3986 §2.1.
 */

const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const MAX_ESCAPED = 3;
const charOf = (_: string, digits: string): string => String.fromCharCode(Number.parseInt(digits, 16));

/** Once. */
export const unescaped = (text: string): string => (text.includes('%') ? text.replace(ESCAPE, charOf) : text);

/** Whether `holds` is true of the text, or of it unescaped, up to three times over. */
export function holdsUnescaped(text: string, holds: (read: string) => boolean): boolean {
  let read = text;
  for (let i = 0; i <= MAX_ESCAPED; i++) {
    if (holds(read)) return true;
    const once = unescaped(read);
    if (once === read) return false;
    read = once;
  }
  return false;
}
