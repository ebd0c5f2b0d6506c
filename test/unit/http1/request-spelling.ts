/** Duty: how the cases of the request corpus are written, and what a case is. */
import type { ErrorCode } from '../../../src/core/errors.ts';

export interface Refused {
  readonly name: string;
  readonly raw: string;
  readonly code: ErrorCode;
}

export interface Accepted {
  readonly name: string;
  readonly raw: string;
  readonly method: string;
  readonly target: string;
  /** Null: no body at all. */
  readonly body: string | null;
  readonly authority: string | null;
  readonly keepAlive?: boolean;
}

export const HOST = 'Host: a.test\r\n';
export const get = (fields: string, target = '/', version = 'HTTP/1.1'): string =>
  `GET ${target} ${version}\r\n${fields}\r\n`;
export const post = (fields: string, body = ''): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
export const chunked = (body: string, fields = ''): string => post(`Transfer-Encoding: chunked\r\n${fields}`, body);

type Row = readonly [name: string, raw: string];

export const rows = (code: ErrorCode, list: readonly Row[]): Refused[] =>
  list.map(([name, raw]) => ({ name, raw, code }));
