/**
 * Duty: answers the DNS of a jail, on the sockets that were opened inside; nothing is asked of any other server.
 * In → Out: datagrams and streams of questions → answers.
 * Holds: A has a synthetic address, `localhost` the loopback's, every other type no record; of a stream no more is kept than one
 *   message, and no more streams than MAX_STREAMS, each at most QUIET_MS without a question.
 * Source: RFC 1035 §4.2; RFC 7766 §8 (two bytes of length); RFC 6761 §6.3.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { isQuestion, parseQuestion, TYPE_A, TYPE_AAAA, writeAnswer, writeRefusal } from './dns-message.ts';
import type { SyntheticNames } from './synthetic-names.ts';

const TTL_SECONDS = 60;
const MAX_STREAMS = 64;
const QUIET_MS = 10_000;
/** Of questions; ours are answered in less. */
const MAX_STREAM_MESSAGE_BYTES = 4_096;

const LOOPBACK_V4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_V6 = Uint8Array.of(...new Array<number>(15).fill(0), 1);

export class NameServer {
  readonly #names: SyntheticNames;
  readonly #onName: (name: string) => void;
  readonly #streams = new Set<Socket>();

  /** `onName` is told every name at its first question. */
  constructor(names: SyntheticNames, onName: (name: string) => void) {
    this.#names = names;
    this.#onName = onName;
  }

  /** Null: no answer. */
  answer(message: Uint8Array): Buffer | null {
    const parsed = parseQuestion(message);
    if (!isQuestion(parsed)) return writeRefusal(parsed);
    return writeAnswer(parsed, this.#addressFor(parsed.name, parsed.type), TTL_SECONDS);
  }

  serveDatagrams(socket: DatagramSocket): void {
    socket.on('error', () => {});
    socket.on('message', (message, from) => {
      const answer = this.answer(message);
      // A full buffer drops it, as a network would; whoever asked asks again.
      if (answer !== null) socket.send(answer, from.port, from.address, () => {});
    });
  }

  serveStreams(server: Server): void {
    server.on('connection', (socket) => this.#serveStream(socket));
  }

  close(): void {
    for (const socket of this.#streams) socket.destroy();
  }

  #serveStream(socket: Socket): void {
    if (this.#streams.size >= MAX_STREAMS) {
      socket.destroy();
      return;
    }
    this.#streams.add(socket);
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on('error', () => {});
    socket.once('close', () => this.#streams.delete(socket));
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = this.#answerAll(socket, rest.length === 0 ? bytes : Buffer.concat([rest, bytes]));
    });
  }

  /** Returns the beginning of a message that is not there whole yet. */
  #answerAll(socket: Socket, bytes: Buffer): Buffer {
    let rest = bytes;
    while (rest.length >= 2) {
      const length = rest.readUInt16BE(0);
      if (length > MAX_STREAM_MESSAGE_BYTES) socket.destroy();
      if (socket.destroyed) return Buffer.alloc(0);
      if (rest.length < 2 + length) break;
      const answer = this.answer(rest.subarray(2, 2 + length));
      rest = rest.subarray(2 + length);
      // Who asks and does not read is asked to leave: what is written stays small.
      if (answer === null || socket.writableLength > MAX_STREAM_MESSAGE_BYTES) socket.destroy();
      else socket.write(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 0xff), answer]));
    }
    return rest;
  }

  #addressFor(name: string, type: number): Uint8Array | null {
    if (name === '' || (type !== TYPE_A && type !== TYPE_AAAA)) return null;
    if (name === 'localhost' || name.endsWith('.localhost')) return type === TYPE_A ? LOOPBACK_V4 : LOOPBACK_V6;
    if (!this.#names.has(name)) this.#onName(name);
    const address = this.#names.addressOf(name);
    return type === TYPE_A ? address : null;
  }
}
