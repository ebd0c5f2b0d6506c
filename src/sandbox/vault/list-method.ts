/**
 * Duty: Vault's own method LIST, which Node's HTTP parser does not know.
 * In → Out: the packet at which the parser stumbled → the same request as GET with `list=true`, or null.
 * Holds: only a whole head in one packet without a body is taken; the answer closes the connection.
 */
import { Readable } from 'node:stream';

/** What reading a request needs of Node's `IncomingMessage`. */
export interface IncomingRequest extends Readable {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const REQUEST_LINE = /^LIST (\/[!-~]*) HTTP\/1\.1$/;

export function readListRequest(packet: Buffer): IncomingRequest | null {
  const text = packet.toString('latin1');
  if (!text.endsWith('\r\n\r\n')) return null;
  const [line = '', ...fields] = text.slice(0, -4).split('\r\n');
  const target = REQUEST_LINE.exec(line)?.[1];
  if (target === undefined) return null;
  const headers: Record<string, string> = Object.create(null);
  for (const field of fields) {
    const colon = field.indexOf(':');
    if (colon < 1) return null;
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  const url = `${target}${target.includes('?') ? '&' : '?'}list=true`;
  return Object.assign(Readable.from([]), { method: 'GET', url, headers });
}

/** The answer as it goes on the wire. */
export function listResponse(status: number, body: object | null): Buffer {
  const json = body === null ? '' : `${JSON.stringify(body)}\n`;
  const head = [
    `HTTP/1.1 ${status} ${status < 300 ? 'OK' : 'Error'}`,
    'Content-Type: application/json',
    'Cache-Control: no-store',
    `Content-Length: ${Buffer.byteLength(json)}`,
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${json}`);
}
