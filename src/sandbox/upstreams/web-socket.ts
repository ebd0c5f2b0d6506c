/**
 * Duty: the server's side of a WebSocket in the sandbox.
 * In → Out: a socket whose handshake is to be accepted → texts both ways.
 * Holds: fragments are joined, pings answered, a Close is answered and ends the connection; a message has its limit.
 * Source: RFC 6455 §5, §7.
 * Not here: who may open one, and what is said (realtime.ts).
 */
import type { Duplex } from 'node:stream';
import { closeFrame, FrameScanner, isControl, OPCODES, type Piece } from '../../websocket/frames.ts';
import { acceptOf } from '../../websocket/handshake.ts';

const MAX_MESSAGE_BYTES = 1024 * 1024;
const TOO_BIG = 1_009;
const PROTOCOL_ERROR = 1_002;

export interface Opening {
  /** Sec-WebSocket-Key. */
  readonly key: string;
  /** Null: none is chosen. */
  readonly protocol: string | null;
  /** What came behind the request. */
  readonly early: Buffer;
}

export class SandboxWebSocket {
  /** Called for each text message. */
  onText: (text: string) => void = () => {};
  readonly #socket: Duplex;
  readonly #scanner = new FrameScanner(true, 'request_malformed');
  #message: Buffer[] = [];
  #messageBytes = 0;
  #control: Buffer[] = [];
  #masked = 0;

  /** Sends 101. The socket belongs to this from here on. */
  constructor(socket: Duplex, { key, protocol, early }: Opening) {
    this.#socket = socket;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n` +
        `${protocol === null ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
    );
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
    if (early.length > 0) this.#take(early);
  }

  send(text: string): void {
    if (this.#socket.writable) this.#socket.write(frameOf(OPCODES.text, Buffer.from(text)));
  }

  close(code: number): void {
    if (this.#socket.writable) this.#socket.end(closeFrame(code, ''));
  }

  #take(bytes: Buffer): void {
    try {
      for (const piece of this.#scanner.scan(bytes)) this.#hear(piece);
    } catch {
      this.close(PROTOCOL_ERROR);
    }
  }

  #hear({ kind, frame, bytes, isLast }: Piece): void {
    if (kind === 'head') this.#masked = 0;
    else this.#keep(isControl(frame) ? this.#control : this.#message, bytes, frame.mask);
    if (!isLast) return;
    if (isControl(frame)) this.#obey(frame.opcode);
    else if (frame.isFinal) this.#say();
  }

  #keep(list: Buffer[], bytes: Buffer, mask: Buffer | null): void {
    const clear = Buffer.from(bytes);
    for (let i = 0; mask !== null && i < clear.length; i++) {
      clear[i] = (clear[i] as number) ^ (mask[(this.#masked + i) % 4] as number);
    }
    this.#masked += bytes.length;
    list.push(clear);
    if (list === this.#message) this.#messageBytes += bytes.length;
    if (this.#messageBytes > MAX_MESSAGE_BYTES) this.close(TOO_BIG);
  }

  #obey(opcode: number): void {
    const payload = Buffer.concat(this.#control);
    this.#control = [];
    if (opcode === OPCODES.ping && this.#socket.writable) this.#socket.write(frameOf(OPCODES.pong, payload));
    if (opcode === OPCODES.close && this.#socket.writable) this.#socket.end(frameOf(OPCODES.close, payload));
  }

  #say(): void {
    const text = Buffer.concat(this.#message).toString('utf8');
    this.#message = [];
    this.#messageBytes = 0;
    this.onText(text);
  }
}

function frameOf(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}
