/**
 * Duty: many requests through tunnels: raw TLS sockets behind CONNECT, one request at a time on each.
 * In → Out: a plan → done, or the first answer that is not 200.
 * Holds: bounded in requests and time; loopback only.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

export interface LoadPlan {
  /** 127.0.0.1 port of the proxy. */
  readonly port: number;
  /** CONNECT target and Proxy-Authorization value. */
  readonly tunnel: { readonly authority: string; readonly authorization: string };
  readonly serverName: string;
  readonly ca: string;
  /** The whole request, as bytes. */
  readonly request: Buffer;
  readonly connections: number;
  readonly requests: number;
  /** A new connection, tunnel and handshake for each request. */
  readonly fresh: boolean;
}

const DEADLINE_MS = 120_000;

/** Rejects on anything but 200 with a body of the announced length. */
export async function runLoad(plan: LoadPlan): Promise<void> {
  let left = plan.requests;
  const take = (): boolean => left-- > 0;
  const timer = setTimeout(() => {
    throw new Error('the load did not end in time');
  }, DEADLINE_MS);
  const loop = plan.fresh ? freshLoop : keepAliveLoop;
  try {
    await Promise.all(Array.from({ length: plan.connections }, () => loop(plan, take)));
  } finally {
    clearTimeout(timer);
  }
}

async function keepAliveLoop(plan: LoadPlan, take: () => boolean): Promise<void> {
  const client = new Client(await open(plan));
  while (take()) await client.exchange(plan.request);
  client.close();
}

async function freshLoop(plan: LoadPlan, take: () => boolean): Promise<void> {
  while (take()) {
    const client = new Client(await open(plan));
    await client.exchange(plan.request);
    client.close();
  }
}

async function open(plan: LoadPlan): Promise<TLSSocket> {
  const raw = await tcp(plan.port);
  await openTunnel(raw, plan.tunnel);
  return new Promise((resolve, reject) => {
    const secure = connectTls(
      { socket: raw, servername: plan.serverName, ca: plan.ca, ALPNProtocols: ['http/1.1'] },
      () => resolve(secure),
    );
    secure.once('error', reject);
  });
}

function tcp(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

function openTunnel(socket: Socket, tunnel: LoadPlan['tunnel']): Promise<void> {
  socket.write(
    `CONNECT ${tunnel.authority} HTTP/1.1\r\nHost: ${tunnel.authority}\r\nProxy-Authorization: ${tunnel.authorization}\r\n\r\n`,
  );
  return new Promise((resolve, reject) => {
    socket.once('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      if (text.startsWith('HTTP/1.1 200 ') && text.endsWith('\r\n\r\n')) resolve();
      else reject(new Error(`no tunnel: ${text}`));
    });
    socket.once('error', reject);
  });
}

/** Reads one response at a time: head, then Content-Length or chunked body. */
class Client {
  readonly #socket: TLSSocket;
  #buffer: Buffer = Buffer.alloc(0);
  #done: ((error: Error | null) => void) | null = null;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
      this.#look();
    });
    socket.on('error', (error) => this.#done?.(error));
    socket.on('close', () => this.#done?.(new Error('closed')));
  }

  exchange(request: Buffer): Promise<void> {
    this.#socket.write(request);
    return new Promise((resolve, reject) => {
      this.#done = (error) => {
        this.#done = null;
        if (error === null) resolve();
        else reject(error);
      };
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #look(): void {
    const headEnd = this.#buffer.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const head = this.#buffer.toString('latin1', 0, headEnd);
    if (!head.startsWith('HTTP/1.1 200')) {
      this.#done?.(new Error(head));
      return;
    }
    const length = /\r\ncontent-length: ([0-9]+)/i.exec(head)?.[1];
    const end =
      length === undefined ? this.#buffer.indexOf('\r\n0\r\n\r\n', headEnd) + 7 : headEnd + 4 + Number(length);
    if (end < headEnd || this.#buffer.length < end) return;
    this.#buffer = this.#buffer.subarray(end);
    this.#done?.(null);
  }
}
