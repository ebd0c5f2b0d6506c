import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface VaultCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** JSON with a status, bytes as they are, or a function that does it all by hand. */
export type VaultScript =
  | {
      readonly status?: number;
      readonly json?: unknown;
      readonly raw?: string;
      readonly headers?: Record<string, string>;
    }
  | ((response: ServerResponse, call: VaultCall) => void);

/** A Vault that answers as it is told, path by path, and remembers what it was asked. */
export class FakeVault {
  readonly calls: VaultCall[] = [];
  readonly address: string;
  /** Calls that were open at the same moment, at most. */
  maxConcurrent = 0;
  delayMs = 0;
  readonly #scripts = new Map<string, VaultScript[]>();
  readonly #server: ReturnType<typeof createServer>;
  #open = 0;

  static async open(tls?: ServerOptions): Promise<FakeVault> {
    const handler: { take: (request: IncomingMessage, response: ServerResponse) => void } = { take: () => {} };
    const take = (request: IncomingMessage, response: ServerResponse): void => handler.take(request, response);
    const server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const vault = new FakeVault(server, `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`);
    handler.take = (request, response) => vault.#take(request, response);
    return vault;
  }

  private constructor(server: ReturnType<typeof createServer>, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** Answers to `path` below `/v1/`, one after the other; the last one stays. */
  on(path: string, ...scripts: VaultScript[]): this {
    this.#scripts.set(path, scripts);
    return this;
  }

  login(auth: Record<string, unknown> = {}): this {
    return this.on('auth/jwt/login', { json: { auth: tokenAuth(auth) } });
  }

  callsTo(path: string): VaultCall[] {
    return this.calls.filter((call) => call.path.split('?')[0] === `/v1/${path}`);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.maxConcurrent = Math.max(this.maxConcurrent, ++this.#open);
    response.on('close', () => this.#open--);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const call = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
      this.calls.push(call);
      if (this.delayMs === 0) this.#answer(call, response);
      else setTimeout(() => this.#answer(call, response), this.delayMs);
    });
  }

  #answer(call: VaultCall, response: ServerResponse): void {
    const scripts = this.#scripts.get((call.path.split('?')[0] ?? '').slice('/v1/'.length)) ?? [];
    const script = (scripts.length > 1 ? scripts.shift() : scripts[0]) ?? { status: 404, json: { errors: [] } };
    if (typeof script === 'function') {
      script(response, call);
      return;
    }
    response.writeHead(script.status ?? 200, { 'content-type': 'application/json', ...script.headers });
    response.end(script.raw ?? (script.json === undefined ? '' : JSON.stringify(script.json)));
  }
}

let tokens = 0;

export const tokenAuth = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  client_token: `hvs.token-${++tokens}`,
  accessor: `accessor-${tokens}`,
  policies: ['default', 'agents'],
  lease_duration: 3600,
  renewable: true,
  token_type: 'service',
  num_uses: 0,
  ...more,
});

export const leased = (data: unknown, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  lease_id: 'openai/creds/agents/0123456789abcdef',
  lease_duration: 3600,
  renewable: false,
  data,
  ...more,
});
