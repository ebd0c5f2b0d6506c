/**
 * Duty: what a case of the wire corpus is, and short ways to write many.
 * Holds: `raw` is Latin-1 and goes into a TLS tunnel to `a.test:443`, where everything is allowed that the wire allows.
 */
import type { Refused } from '../../unit/http1/request-spelling.ts';

export interface WireCase {
  readonly class: string;
  /** Why it is refused, or why it is not. */
  readonly name: string;
  readonly raw: string;
  /** Of the final responses, in order; empty: the connection ends without a word. */
  readonly statuses: readonly number[];
  /** What the upstream gets whole: `METHOD target body`. */
  readonly forwarded: readonly string[];
  /** The proxy ends the connection. */
  readonly isClosed: boolean;
  /** Refused behind a head that is on its way by then: the upstream sees the beginning of that request and never its end. */
  readonly isPartial?: true;
  /** Who refuses; null: nobody. */
  readonly by: 'codec' | 'tunnel' | 'policy' | null;
}

export type Row = readonly [name: string, raw: string];

export const HOST = 'Host: a.test\r\n';
export const get = (fields = '', target = '/', version = 'HTTP/1.1'): string =>
  `GET ${target} ${version}\r\n${HOST}${fields}\r\n`;
export const post = (fields: string, body = ''): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
export const chunked = (body: string, fields = ''): string => post(`Transfer-Encoding: chunked\r\n${fields}`, body);
/** What an attacker hopes that somebody takes for a request of its own. */
export const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n';

type Refuser = NonNullable<WireCase['by']>;

const refusedBy =
  (by: Refuser) =>
  (group: string, status: number, rows: readonly Row[]): WireCase[] =>
    rows.map(([name, raw]) => ({ class: group, name, raw, statuses: [status], forwarded: [], isClosed: true, by }));

/** Not one byte of it may reach the upstream. */
export const refused = refusedBy('codec');
export const refusedByTunnel = refusedBy('tunnel');

/** A denial: the connection goes on. */
export const denied = (group: string, rows: readonly Row[]): WireCase[] =>
  refusedBy('policy')(group, 403, rows).map((each) => ({ ...each, isClosed: false }));

/** Refused within the body, when the head has gone out. */
export const refusedInBody = (group: string, status: number, rows: readonly Row[]): WireCase[] =>
  refused(group, status, rows).map((each) => ({ ...each, isPartial: true }));

/** `GET /first`, whole and lawful, stands before it and is answered. */
export const refusedSecond = (group: string, status: number, rows: readonly Row[], by: Refuser = 'codec'): WireCase[] =>
  refusedBy(by)(group, status, rows).map((each) => ({
    ...each,
    raw: get('', '/first') + each.raw,
    statuses: [200, status],
    forwarded: ['GET /first '],
  }));

/** `[why, raw, ...what the upstream understands]`; each is answered with 200. */
export const safe = (
  group: string,
  rows: readonly (readonly [name: string, raw: string, ...forwarded: string[]])[],
): WireCase[] =>
  rows.map(([name, raw, ...forwarded]) => ({
    class: group,
    name,
    raw,
    statuses: forwarded.map(() => 200),
    forwarded,
    isClosed: false,
    by: null,
  }));

/** As `safe`, but the proxy ends the connection behind it. */
export const last = (group: string, rows: Parameters<typeof safe>[1]): WireCase[] =>
  safe(group, rows).map((each) => ({ ...each, isClosed: true }));

const STATUS: Readonly<Record<string, number>> = {
  request_malformed: 400,
  authority_malformed: 400,
  authority_mismatch: 421,
  request_head_too_large: 431,
  request_target_too_long: 414,
  request_method_unsupported: 501,
  request_version_unsupported: 505,
  expectation_failed: 417,
};

/** A refusal of the codec's own corpus, as it shows in a tunnel. */
export function onTheWire(group: string, { name, raw, code }: Refused): WireCase {
  const [only] = refused(group, STATUS[code] ?? 0, [[name, raw]]);
  return only as WireCase;
}
