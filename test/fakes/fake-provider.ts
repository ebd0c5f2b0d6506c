import { createServer as createPlainServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';
import { FakeClock } from './fake-clock.ts';

export interface ProviderCall {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A text goes out as it is, an object as JSON; `silence` never answers, `reset` cuts. */
export type ProviderAnswer =
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body?: string | object }
  | 'silence'
  | 'reset';

/** A provider's API over real TLS, or in clear. It remembers its calls and answers by a script. */
export class FakeProvider {
  /** `https://localhost:PORT` */
  readonly baseUrl: string;
  /** Null in clear. */
  readonly rootPem: string | null;
  readonly calls: ProviderCall[] = [];
  answer: (call: ProviderCall) => ProviderAnswer | Promise<ProviderAnswer> = () => ({ status: 503 });
  readonly #server: Server;

  static async open(
    options: { readonly isPlain?: boolean; readonly certificateName?: string } = {},
  ): Promise<FakeProvider> {
    const authority = new SandboxAuthority(new FakeClock(Date.now()));
    const context = authority.contextFor(options.certificateName ?? 'localhost');
    const server =
      options.isPlain === true
        ? createPlainServer()
        : createServer({ SNICallback: (_name, done) => done(null, context) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeProvider(server, options.isPlain === true ? null : authority.rootPem);
  }

  private constructor(server: Server, rootPem: string | null) {
    this.#server = server;
    this.rootPem = rootPem;
    const { port } = server.address() as AddressInfo;
    this.baseUrl = rootPem === null ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', async () => {
        const { method = '', url = '', headers } = request;
        const call = { method, url, headers, body: Buffer.concat(chunks).toString() };
        this.calls.push(call);
        const answer = await this.answer(call);
        if (answer === 'silence') return;
        if (answer === 'reset') return void request.socket.destroy();
        const { status = 200, headers: fields = {}, body = '' } = answer;
        response.writeHead(status, { 'content-type': 'application/json', ...fields });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    });
  }

  get form(): URLSearchParams {
    return new URLSearchParams(this.calls[this.calls.length - 1]?.body ?? '');
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
