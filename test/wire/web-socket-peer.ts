/** Duty: the bytes of WebSocket peers, written independently of the code under test. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export interface FrameShape {
  readonly isFinal?: boolean;
  /** Of a client. */
  readonly isMasked?: boolean;
  readonly reserved?: number;
}

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;

export function frame(opcode: number, payload: string | Buffer, shape: FrameShape = {}): Buffer {
  const body = Buffer.from(payload);
  const { length } = body;
  const head = [(shape.isFinal === false ? 0 : 0x80) | ((shape.reserved ?? 0) << 4) | opcode];
  const masked = shape.isMasked === true ? 0x80 : 0;
  if (length < 126) head.push(masked | length);
  else if (length < 65_536) head.push(masked | 126, length >> 8, length & 0xff);
  else {
    const eight = Buffer.alloc(8);
    eight.writeBigUInt64BE(BigInt(length));
    head.push(masked | 127, ...eight);
  }
  if (masked === 0) return Buffer.concat([Buffer.from(head), body]);
  const mask = Buffer.from([0x11, 0x22, 0x33, 0x44]);
  for (let i = 0; i < length; i++) body[i] = (body[i] as number) ^ (mask[i % 4] as number);
  return Buffer.concat([Buffer.from(head), mask, body]);
}

export function opening(host: string, path = '/ws', fields = ''): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${fields}\r\n`
  );
}

export function accepting(fields = '', key = KEY): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return (
    `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Accept: ${accept}\r\n${fields}\r\n`
  );
}

/** Answers the first head by `answer`; what comes behind goes to `onBytes`. */
export function acceptSocket(socket: Socket, answer: string, onBytes: (bytes: Buffer) => void = () => {}): void {
  let head: string | null = '';
  socket.on('data', (bytes: Buffer) => {
    if (head === null) return onBytes(bytes);
    head += bytes.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    const rest = Buffer.from(head.slice(end + 4), 'latin1');
    head = null;
    socket.write(answer);
    if (rest.length > 0) onBytes(rest);
  });
}
