/**
 * Duty: where a string stands in a JSON text.
 * In → Out: bytes, pointer → begin and end of the string between its quotes; or that it is not there, or what is wrong with the text.
 * Holds: the whole text is checked: UTF-8 without a mark, grammar, depth, no member name twice at any place, so that no two
 *   readers see another value at the pointer.
 * Source: RFC 8259; RFC 7493 §2.3; RFC 6901.
 */
import { isUtf8 } from 'node:buffer';

export type FoundString =
  | { readonly kind: 'string'; readonly start: number; readonly end: number }
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed'; readonly what: string };

const MAX_DEPTH = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SCALAR = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9+.-])/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y;
const SPACE = /[ \t\n\r]*/y;

class Malformed extends Error {}

export function findString(bytes: Buffer, pointer: readonly string[]): FoundString {
  if (!isUtf8(bytes)) return { kind: 'malformed', what: 'it is not UTF-8' };
  // Latin-1: one character is one byte, so that places in the text are places in the bytes.
  const reader = new Reader(bytes.toString('latin1'), pointer);
  try {
    reader.readAll();
  } catch (thrown) {
    if (thrown instanceof Malformed) return { kind: 'malformed', what: thrown.message };
    throw thrown;
  }
  return reader.found ?? { kind: 'missing' };
}

class Reader {
  found: FoundString | null = null;
  readonly #text: string;
  readonly #pointer: readonly string[];
  #at = 0;

  constructor(text: string, pointer: readonly string[]) {
    this.#text = text;
    this.#pointer = pointer;
  }

  readAll(): void {
    this.#match(SPACE);
    this.#value(0, 0);
    if (this.#at !== this.#text.length) throw new Malformed('something follows the value');
  }

  /** `onPath`: how many steps of the pointer lead here; -1 beside it. */
  #value(depth: number, onPath: number): void {
    if (depth > MAX_DEPTH) throw new Malformed('it is nested too deeply');
    const first = this.#text[this.#at];
    if (first === '{') this.#object(depth, onPath);
    else if (first === '[') this.#array(depth, onPath);
    else if (first === '"') {
      const start = this.#at + 1;
      this.#string();
      if (onPath === this.#pointer.length) this.found = { kind: 'string', start, end: this.#at - 1 };
    } else if (this.#match(SCALAR) === null) throw new Malformed('a value is none that JSON has');
    this.#match(SPACE);
  }

  #object(depth: number, onPath: number): void {
    const names = new Set<string>();
    this.#open('}', () => {
      const name = JSON.parse(Buffer.from(this.#string(), 'latin1').toString('utf8')) as string;
      if (names.has(name)) throw new Malformed('a member name occurs twice');
      names.add(name);
      this.#match(SPACE);
      this.#expect(':');
      this.#value(depth + 1, this.#step(onPath, name));
    });
  }

  #array(depth: number, onPath: number): void {
    let index = 0;
    this.#open(']', () => this.#value(depth + 1, this.#step(onPath, String(index++))));
  }

  /** What stands between brackets, with its commas. */
  #open(end: string, item: () => void): void {
    this.#at += 1;
    this.#match(SPACE);
    if (this.#text[this.#at] !== end) {
      item();
      while (this.#text[this.#at] === ',') {
        this.#expect(',');
        item();
      }
    }
    if (this.#text[this.#at++] !== end) throw new Malformed('a bracket, colon or comma is missing');
  }

  #step(onPath: number, name: string): number {
    return onPath !== -1 && this.#pointer[onPath] === name ? onPath + 1 : -1;
  }

  /** With its quotes. Read step by step: an expression over megabytes would need as much stack. */
  #string(): string {
    const start = this.#at;
    const text = this.#text;
    if (text[this.#at++] !== '"') throw new Malformed('a member has no name');
    for (;;) {
      const code = text.charCodeAt(this.#at);
      // NaN at the end.
      if (!(code >= 0x20)) throw new Malformed('a string has no end, or a control character in it');
      if (code === BACKSLASH) {
        if (this.#match(ESCAPE) === null) throw new Malformed('an escape is unknown');
      } else {
        this.#at += 1;
        if (code === QUOTE) return text.slice(start, this.#at);
      }
    }
  }

  #expect(char: string): void {
    if (this.#text[this.#at++] !== char) throw new Malformed('a bracket, colon or comma is missing');
    this.#match(SPACE);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [null];
    if (found !== null) this.#at += found.length;
    return found;
  }
}
