/**
 * Duty: requests through a proxy as an agent makes them, in this process: CONNECT, TLS, one request.
 */

import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { InstanceAnswer, RunningProxy } from '../../src/app.ts';
import type { InstanceOrder } from '../../src/instance-desk.ts';

export interface Answer {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The connection broke before the answer was whole. */
  readonly isCut: boolean;
}

export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
  /** Server name in the ClientHello; the host where left out. */
  readonly servername?: string;
}

/** What a client needs of a proxy, which may run in another process. */
export type ReachableProxy = Pick<RunningProxy, 'proxyUrl' | 'createInstance'>;

export class AgentClient {
  /** Every answer, byte for byte. */
  readonly received: string[] = [];
  readonly #proxy: ReachableProxy;
  readonly #instance: InstanceAnswer;
  readonly #ca: string;

  private constructor(proxy: ReachableProxy, instance: InstanceAnswer) {
    this.#proxy = proxy;
    this.#instance = instance;
    this.#ca = readFileSync(instance.bundleFile, 'utf8');
  }

  static async of(proxy: ReachableProxy, order: Partial<InstanceOrder> = {}): Promise<AgentClient> {
    return new AgentClient(proxy, await proxy.createInstance({ workload: 'ai-agent', ttlMs: 600_000, ...order }));
  }

  get instance(): InstanceAnswer {
    return this.#instance;
  }

  /** The answer to CONNECT where it was not 200, otherwise the answer inside the tunnel. */
  async ask(
    host: string,
    { method = 'GET', path = '/', fields = [], body, servername = host }: Ask = {},
  ): Promise<Answer> {
    const tunnel = await this.open(host);
    if ('status' in tunnel) return tunnel;
    const secure = await this.secure(tunnel, servername);
    const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
    secure.write(
      [`${method} ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...length, ...fields, '', body ?? ''].join(
        '\r\n',
      ),
    );
    return readAnswer(secure, this.received);
  }

  /** A tunnel, or the proxy's refusal. */
  async open(host: string, token = this.#instance.token): Promise<Socket | Answer> {
    const { port } = new URL(this.#proxy.proxyUrl);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.write(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`);
    const first = await new Promise<Buffer>((resolve, reject) => {
      socket.once('data', resolve);
      socket.once('error', reject);
      socket.once('close', () => resolve(Buffer.alloc(0)));
    });
    if (first.toString('latin1').startsWith('HTTP/1.1 200 ')) return socket;
    return readAnswer(socket, this.received, first);
  }

  secure(socket: Socket, servername: string): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const secure = connectTls({ socket, servername, host: servername || '10.255.0.1', ca: this.#ca }, () =>
        resolve(secure),
      );
      secure.once('error', reject);
      secure.once('close', () => reject(new Error('closed during the handshake')));
    });
  }
}

function readAnswer(socket: Socket | TLSSocket, received: string[], first: Buffer = Buffer.alloc(0)): Promise<Answer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [first];
    let hasEnded = false;
    socket.on('data', (bytes: Buffer) => chunks.push(bytes));
    socket.on('end', () => {
      hasEnded = true;
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      received.push(Buffer.concat(chunks).toString('latin1'));
      resolve(parseAnswer(Buffer.concat(chunks), hasEnded));
    });
    if (socket.destroyed) resolve(parseAnswer(first, false));
  });
}

function parseAnswer(bytes: Buffer, hasEnded: boolean): Answer {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return { status: 0, headers: new Map(), body: '', isCut: true };
  const [line = '', ...fields] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const headers = new Map(
    fields.map((field) => [
      field.slice(0, field.indexOf(':')).toLowerCase(),
      field.slice(field.indexOf(':') + 1).trim(),
    ]),
  );
  const raw = bytes.subarray(headEnd + 4);
  const length = headers.get('content-length');
  const isChunked = headers.get('transfer-encoding') === 'chunked';
  const isWhole = isChunked
    ? raw.toString('latin1').endsWith('0\r\n\r\n')
    : length !== undefined
      ? raw.length === Number(length)
      : hasEnded;
  return { status: Number(line.split(' ')[1]), headers, body: raw.toString('utf8'), isCut: !isWhole };
}
