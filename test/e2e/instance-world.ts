/** Duty: what the tests of instances need: a server of plain http, a tunnel that is kept, a raw question to the control plane. */
import { createServer, request, type ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { AgentClient } from './agent-client.ts';
import { until } from './worker-world.ts';

/** Answers that nobody reads any more. */
export const stalled = new Set<ServerResponse>();
/** Speaks plain http: `/once` is short, `/flood` as long as somebody reads, anything else never ends. */
export const plain = createServer((question, response) => {
  if (question.url === '/once') response.end('once');
  else if (question.url === '/flood') {
    response.on('close', () => stalled.delete(response));
    const more = (): void => {
      stalled.delete(response);
      while (response.write('x'.repeat(65_536)));
      stalled.add(response);
      response.once('drain', more);
    };
    more();
  } else {
    const timer = setInterval(() => response.write('on and on\n'), 20);
    response.on('close', () => clearInterval(timer));
  }
});

/** One request after another in one tunnel. */
export class KeptTunnel {
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #host: string;
  #text = '';

  private constructor(socket: TLSSocket, host: string) {
    this.#socket = socket;
    this.#host = host;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
  }

  static async open(agent: AgentClient, host: string): Promise<KeptTunnel> {
    const tunnel = await agent.open(host);
    if ('status' in tunnel) throw new Error(`no tunnel: ${tunnel.status}`);
    return new KeptTunnel(await agent.secure(tunnel, host), host);
  }

  async status(path: string): Promise<number> {
    this.#text = '';
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`);
    await until(() => this.#socket.destroyed || /\r\n\r\n/.test(this.#text));
    return Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(this.#text)?.[1] ?? 0);
  }
}

export function raw(
  socketPath: string,
  method: string,
  path: string,
  body = '',
): Promise<{ type: string; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ type: response.headers['content-type'] ?? '', body: text }));
    });
    call.on('error', reject).end(body);
  });
}
