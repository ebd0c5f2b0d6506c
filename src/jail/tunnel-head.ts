/**
 * Duty: the words between the jail and the proxy that come before a connection's own bytes.
 * In → Out: where a jailed program connected to → CONNECT; what the proxy said → accepted, refused or not whole yet.
 * Holds: the proxy is told that a client follows which knows no proxy, so that it reads the destination from the connection
 *   itself; the token is in this field alone and never inside.
 * Source: RFC 9110 §9.3.6, §11.7.1; RFC 3986 §3.2.2 (IPv6 in brackets).
 */

/** Names the way on which a connection came. */
export const WAY_FIELD = 'Countersign-Way';
export const WAY_REDIRECTED = 'redirected';

const MAX_ANSWER_BYTES = 16_384;
const END = '\r\n\r\n';

/** Of a proxy URL with user and password, as HTTPS_PROXY carries it. */
export function proxyAuthorization(proxyUrl: string): string {
  const { username, password } = new URL(proxyUrl);
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

export function connectHead(address: string, port: number, authorization: string): string {
  const authority = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const fields = [`Host: ${authority}`, `Proxy-Authorization: ${authorization}`, `${WAY_FIELD}: ${WAY_REDIRECTED}`];
  return `${[`CONNECT ${authority} HTTP/1.1`, ...fields].join('\r\n')}${END}`;
}

export type ConnectAnswer = { readonly status: number; readonly rest: Buffer };

/** Null: more bytes are needed. Status 0: it is no answer of a proxy. */
export function readConnectAnswer(bytes: Buffer): ConnectAnswer | null {
  const end = bytes.indexOf(END);
  if (end === -1) return bytes.length > MAX_ANSWER_BYTES ? { status: 0, rest: Buffer.alloc(0) } : null;
  const match = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: |\r\n)/.exec(bytes.toString('latin1', 0, end + 2));
  return { status: match === null ? 0 : Number(match[1]), rest: bytes.subarray(end + END.length) };
}
