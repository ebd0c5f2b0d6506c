import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const ACCOUNTS = /^\/v1\/organization\/projects\/([\w-]+)\/service_accounts(?:\/([\w-]+))?$/;
const PROJECT = /^\/v1\/organization\/projects\/([\w-]+)$/;

/** The few calls of OpenAI's administration API that an engine for dynamic keys makes. It remembers which accounts live. */
export class FakeOpenaiAdmin {
  /** As on a bad day of OpenAI: a key cannot be taken back. */
  refusesDeletion = false;
  /** Id of the service account → its key. */
  readonly accounts = new Map<string, string>();
  /** `http://127.0.0.1:PORT/v1` */
  readonly endpoint: string;
  readonly #server: Server;
  #made = 0;

  static async open(): Promise<FakeOpenaiAdmin> {
    const handler: { take: (request: IncomingMessage) => { status: number; body: object } } = {
      take: () => ({ status: 503, body: {} }),
    };
    const server = createServer((request, response) => {
      request.resume().on('end', () => {
        const { status, body } = handler.take(request);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const admin = new FakeOpenaiAdmin(server);
    handler.take = (request) => admin.#answer(request.method ?? '', request.url ?? '');
    return admin;
  }

  private constructor(server: Server) {
    this.#server = server;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(method: string, url: string): { status: number; body: object } {
    const project = PROJECT.exec(url)?.[1];
    if (method === 'GET' && project !== undefined) {
      return { status: 200, body: { object: 'organization.project', id: project, name: 'contract', status: 'active' } };
    }
    const [, , account] = ACCOUNTS.exec(url) ?? [];
    if (method === 'POST' && ACCOUNTS.test(url)) return { status: 200, body: this.#createAccount() };
    if (method === 'DELETE' && this.refusesDeletion)
      return { status: 503, body: { error: { message: 'try later', type: 'server_error' } } };
    if (method === 'DELETE' && account !== undefined && this.accounts.delete(account)) {
      return {
        status: 200,
        body: { object: 'organization.project.service_account.deleted', id: account, deleted: true },
      };
    }
    return { status: 404, body: { error: { message: 'no such thing', type: 'invalid_request_error' } } };
  }

  #createAccount(): object {
    this.#made += 1;
    const id = `user-contract-${this.#made}`;
    const value = `sk-svcacct-contract-${this.#made}`;
    this.accounts.set(id, value);
    const created_at = Math.floor(Date.now() / 1000);
    return {
      object: 'organization.project.service_account',
      id,
      name: `contract-${this.#made}`,
      role: 'member',
      created_at,
      api_key: {
        object: 'organization.project.service_account.api_key',
        id: `key_contract_${this.#made}`,
        name: 'Secret Key',
        value,
        created_at,
      },
    };
  }
}
