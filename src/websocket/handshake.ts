/**
 * Duty: the opening of a WebSocket: what a client must ask, what a server must answer.
 * Holds: one spelling each; extensions are never offered, so that frames can be read by whoever they pass.
 * Source: RFC 6455 §4; RFC 9110 §7.8.
 */
import { hash } from 'node:crypto';
import type { HeaderList } from '../core/headers.ts';
import type { RequestHead, ResponseHead } from '../core/message.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** Null where the head opens a WebSocket as it must; otherwise what is wrong with it. */
export function faultOf(head: RequestHead): string | null {
  const { headers } = head;
  if (!isOne(headers.getAll('upgrade'), 'websocket')) return 'the only protocol to upgrade to is websocket';
  if (head.method !== 'GET' || head.version !== '1.1') return 'a WebSocket is opened by GET and HTTP/1.1';
  if (!options(headers).includes('upgrade')) return 'Connection does not name Upgrade';
  if (head.framing.kind !== 'none') return 'a WebSocket is opened without a body';
  if (!isOne(headers.getAll('sec-websocket-version'), '13')) return 'the version of WebSocket must be 13';
  const keys = headers.getAll('sec-websocket-key');
  if (keys.length !== 1 || !KEY.test(keys[0] ?? '')) return 'Sec-WebSocket-Key is not 16 bytes in base64';
  return null;
}

/** Null where the answer accepts what was asked; otherwise what is wrong with it. */
export function answerFaultOf(asked: HeaderList, { status, headers }: ResponseHead): string | null {
  if (status !== 101) return `it answered ${status} in place of 101`;
  if (!isOne(headers.getAll('upgrade'), 'websocket') || !options(headers).includes('upgrade')) {
    return 'it switched to another protocol';
  }
  if (!isOne(headers.getAll('sec-websocket-accept'), acceptOf(asked.get('sec-websocket-key') ?? ''), false)) {
    return 'Sec-WebSocket-Accept does not answer the key';
  }
  if (headers.has('sec-websocket-extensions')) return 'it chose an extension that was not offered';
  const chosen = headers.getAll('sec-websocket-protocol');
  if (chosen.length > 1 || (chosen[0] !== undefined && !protocols(asked).includes(chosen[0]))) {
    return 'it chose a subprotocol that was not offered';
  }
  return null;
}

/** Sec-WebSocket-Accept for a Sec-WebSocket-Key. */
export const acceptOf = (key: string): string => hash('sha1', `${key}${GUID}`, 'base64');

/** The subprotocols that a client offers, in its order. */
export const protocols = (headers: HeaderList): string[] => listed(headers, 'sec-websocket-protocol');

const options = (headers: HeaderList): string[] => listed(headers, 'connection').map((option) => option.toLowerCase());

function listed(headers: HeaderList, key: string): string[] {
  const parts = headers.getAll(key).flatMap((value) => value.split(','));
  return parts.map((part) => part.replace(/^[ \t]+|[ \t]+$/g, '')).filter((part) => part !== '');
}

function isOne(values: readonly string[], wanted: string, ignoresCase = true): boolean {
  const [value = ''] = values;
  return values.length === 1 && (ignoresCase ? value.toLowerCase() : value) === wanted;
}
