/**
 * Duty: one connection of the load generator: CONNECT where the candidate wants it, TLS, then request after request.
 * Holds: any answer but a whole 200 is an error; at most one request is under way.
 * Not here: how often and when (closed-loop.ts, open-loop.ts). Why not wrk: it speaks no CONNECT, and one generator must
 *   drive all candidates; the row `generator` compares the two.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Way } from '../candidates/candidate.ts';

const HEAD_END = '\r\n\r\n';
const MAX_SHOWN = 300;

/** @throws Error with what the candidate said. */
export async function openTls(way: Way): Promise<TLSSocket> {
  const raw = await openTcp(way.port);
  if (way.tunnel !== null) await openTunnel(raw, way.tunnel);
  return new Promise((resolve, reject) => {
    const { context, serverName } = way;
    const secure = connectTls({
      socket: raw,
      servername: serverName,
      secureContext: context,
      ALPNProtocols: ['http/1.1'],
    });
    secure.once('secureConnect', () => {
      secure.off('error', reject);
      resolve(secure);
    });
    secure.once('error', reject);
  });
}

function openTcp(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function openTunnel(socket: Socket, { authority, authorization }: NonNullable<Way['tunnel']>): Promise<void> {
  const proof = authorization === null ? '' : `Proxy-Authorization: ${authorization}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${proof}\r\n`);
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new Error('closed in place of an answer to CONNECT'));
    socket.once('error', reject);
    socket.once('close', onClose);
    socket.once('data', (bytes: Buffer) => {
      socket.off('error', reject);
      socket.off('close', onClose);
      const text = bytes.toString('latin1');
      if (text.startsWith('HTTP/1.1 200 ') && text.endsWith(HEAD_END)) resolve();
      else reject(new Error(`no tunnel: ${text.slice(0, MAX_SHOWN)}`));
    });
  });
}

export type Done = (error: Error | null) => void;

export class Client {
  readonly #socket: TLSSocket;
  #buffer: Buffer | null = null;
  #done: Done | null = null;
  /** Bytes of an answer that was read in full once; another one of that length needs no second look at its framing. */
  #known = -1;
  /** Of the last answer. */
  #body = '';

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the candidate closed the connection in place of an answer')));
  }

  static async open(way: Way): Promise<Client> {
    return new Client(await openTls(way));
  }

  /** `done` is called once, with null after a whole 200. */
  exchange(request: Buffer, done: Done): void {
    this.#done = done;
    this.#socket.write(request);
  }

  /** The body of the answer. */
  fetch(request: Buffer): Promise<string> {
    this.#known = -1;
    return new Promise((resolve, reject) => {
      this.exchange(request, (error) => (error === null ? resolve(this.#body) : reject(error)));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    if (this.#buffer === null && bytes.length === this.#known && bytes.toString('latin1', 9, 12) === '200') {
      this.#end(null);
      return;
    }
    const all = this.#buffer === null ? bytes : Buffer.concat([this.#buffer, bytes]);
    this.#buffer = all;
    const headEnd = all.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = all.toString('latin1', 0, headEnd);
    if (!head.startsWith('HTTP/1.1 200')) {
      this.#end(new Error(`not a 200: ${all.toString('latin1', 0, MAX_SHOWN)}`));
      return;
    }
    const end = endOf(head, all, headEnd + HEAD_END.length);
    if (end === null || all.length < end) return;
    if (all.length > end) {
      this.#end(new Error('bytes behind the answer'));
      return;
    }
    this.#known = end;
    this.#body = all.toString('latin1', headEnd + HEAD_END.length, end);
    this.#buffer = null;
    this.#end(null);
  }

  #end(error: Error | null): void {
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }
}

/** Null while it cannot be told. */
function endOf(head: string, bytes: Buffer, bodyStart: number): number | null {
  const length = /\r\ncontent-length: ([0-9]+)/i.exec(head)?.[1];
  if (length !== undefined) return bodyStart + Number(length);
  const last = bytes.indexOf('\r\n0\r\n\r\n', bodyStart - 2);
  return last === -1 ? null : last + '\r\n0\r\n\r\n'.length;
}
