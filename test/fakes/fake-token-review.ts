/**
 * Duty: TokenReview of a Kubernetes API server over plain HTTP on loopback, for Vault's kubernetes auth method.
 * Source: Kubernetes API, authentication.k8s.io/v1.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export class FakeTokenReview {
  readonly origin: string;
  /** Token → `namespace:name` of its service account. */
  readonly accounts = new Map<string, string>();
  readonly #server: Server;

  static async open(): Promise<FakeTokenReview> {
    const handler: { take: (request: IncomingMessage, response: ServerResponse) => void } = { take: () => {} };
    const server = createServer((request, response) => handler.take(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeTokenReview(server);
    handler.take = (request, response) => fake.#take(request, response);
    return fake;
  }

  private constructor(server: Server) {
    this.#server = server;
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { spec } = JSON.parse(Buffer.concat(chunks).toString()) as {
        spec: { token: string; audiences?: string[] };
      };
      const account = this.accounts.get(spec.token);
      const user = { username: `system:serviceaccount:${account}`, uid: `uid-${account}`, groups: [] };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec,
          status:
            account === undefined
              ? { authenticated: false, error: 'unknown' }
              : { authenticated: true, user, audiences: spec.audiences ?? [] },
        }),
      );
    });
  }
}
