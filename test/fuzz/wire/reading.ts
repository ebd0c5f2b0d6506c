/**
 * Duty: what a parser understood of some bytes, in words that all parsers share.
 * Holds: text is Latin-1, one character a byte.
 */
export type Direction = 'request' | 'response';

/** Bytes of one connection. A request's connection stays open behind them, a response's ends. */
export interface WireCase {
  readonly direction: Direction;
  /** Of the requests that the responses answer; empty for requests. */
  readonly methods: readonly string[];
  readonly raw: string;
  /** Places where `raw` is cut, ascending. */
  readonly cuts: readonly number[];
}

export interface Message {
  /** `GET /x 1.1` or `1.1 200 OK`. */
  readonly line: string;
  /** Name, value, name, value … as received. */
  readonly fields: readonly string[];
  body: string;
  trailers: readonly string[];
  readonly keepAlive: boolean;
  /** What follows is another protocol: CONNECT, 101, Upgrade. */
  readonly isUpgrade: boolean;
  isWhole: boolean;
}

export interface Reading {
  readonly messages: readonly Message[];
  /** What the parser said when it refused to go on; null where it would take more. */
  readonly refusal: string | null;
}

export interface Reader {
  readonly name: string;
  read(wire: WireCase): Reading;
}

export function piecesOf({ raw, cuts }: WireCase): Buffer[] {
  const ends = [...cuts, raw.length];
  return ends.map((end, i) => Buffer.from(raw.slice(ends[i - 1] ?? 0, end), 'latin1'));
}

/** Values of the fields named `key` (lower case). */
export function valuesOf({ fields }: Message, key: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < fields.length; i += 2) if (fields[i]?.toLowerCase() === key) values.push(fields[i + 1] ?? '');
  return values;
}

/** Lower-case members of a list that may be spread over several fields. */
export function listOf(message: Message, key: string): string[] {
  return valuesOf(message, key).flatMap((value) => value.split(',').map((part) => part.trim().toLowerCase()));
}

export const isResponse = ({ line }: Message): boolean => /^1\.[01] [0-9]/.test(line);

export function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, i) => text === other[i]);
}
