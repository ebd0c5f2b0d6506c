/** Drives a parser with the same bytes in different cuts and tells what came out. */
import { EgressError } from '../../../src/core/errors.ts';
import type { MessageParser } from '../../../src/http1/message-parser.ts';

export interface Outcome<Head> {
  readonly messages: { head: Head; body: string; trailers: [string, string][] | null; isWhole: boolean }[];
  /** Code of the error that ended it. */
  readonly code: string | null;
}

/** Pushes each piece and pulls all events behind it; `ends` says that the peer closes afterwards. */
export function feed<Head>(parser: MessageParser<Head>, pieces: readonly Buffer[], ends = false): Outcome<Head> {
  const messages: Outcome<Head>['messages'] = [];
  const drain = (): void => {
    for (let event = parser.pull(); event !== null; event = parser.pull()) {
      const last = messages.at(-1);
      if (event.kind === 'head') messages.push({ head: event.head, body: '', trailers: null, isWhole: false });
      else if (last === undefined || last.isWhole) throw new Error(`${event.kind} without a head`);
      else if (event.kind === 'data') {
        if (event.bytes.length === 0) throw new Error('empty data');
        last.body += event.bytes.toString('latin1');
      } else {
        last.isWhole = true;
        last.trailers = event.trailers === null ? null : [...event.trailers].map(({ name, value }) => [name, value]);
      }
    }
  };
  try {
    for (const piece of pieces) {
      parser.push(piece);
      drain();
    }
    if (ends) {
      parser.end();
      drain();
    }
    return { messages, code: null };
  } catch (thrown) {
    if (!(thrown instanceof EgressError)) throw thrown;
    return { messages, code: thrown.code };
  }
}

export function whole(raw: string): Buffer[] {
  return [Buffer.from(raw, 'latin1')];
}

export function byteByByte(raw: string): Buffer[] {
  return Array.from(Buffer.from(raw, 'latin1'), (byte) => Buffer.from([byte]));
}

/** One cut before, within and behind every CRLF. */
export function aroundLineEnds(raw: string): Buffer[][] {
  const places = [...raw.matchAll(/\r\n/g)].slice(0, 12).flatMap(({ index }) => [index, index + 1, index + 2]);
  return places.map((place) => cutAt(raw, [place]));
}

export function cutAt(raw: string, places: readonly number[]): Buffer[] {
  const sorted = [0, ...[...places].sort((a, b) => a - b), raw.length];
  return sorted.slice(1).map((end, i) => Buffer.from(raw.slice(sorted[i], end), 'latin1'));
}
