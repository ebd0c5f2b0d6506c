/**
 * Duty: the two documents by which Vault verifies workload tokens, over HTTP.
 * In → Out: GET of the discovery document or the key set → JSON; anything else → 404, 405 or 400.
 * Holds: nothing but public keys is served; a request is small and quick or it is cut; no body is read.
 * Fails: `configuration_invalid` where the address cannot be listened on.
 * Source: OpenID Connect Discovery 1.0 §4; RFC 7517.
 * Not here: the documents (issuer.ts). TLS for a Vault elsewhere: a reverse proxy in front, and `issuer.url`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EgressError } from '../core/errors.ts';
import type { Issuer } from './issuer.ts';
import type { IssuerOptions } from './options.ts';

export interface IssuerEndpoint {
  /** Where it listens: `http://127.0.0.1:8201`. */
  readonly url: string;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 64;
const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
  insecureHTTPParser: false,
} as const;

/** Listens, and tells the issuer its URL. @throws EgressError `configuration_invalid`. */
export async function openIssuerEndpoint(issuer: Issuer, listen: IssuerOptions['listen']): Promise<IssuerEndpoint> {
  const server = createServer(LIMITS, (request, response) => answer(issuer, request, response));
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = 100;
  server.on('clientError', (_error, socket) => {
    socket.destroy();
  });
  const url = await bind(server, listen);
  issuer.locate(url);
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function bind(server: Server, { address, port }: IssuerOptions['listen']): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const detail = `the issuer cannot listen on ${address} port ${port}: ${cause.code ?? 'unknown'}`;
      reject(new EgressError('configuration_invalid', { detail, cause }));
    });
    server.listen({ host: address, port }, () => {
      const bound = server.address() as AddressInfo;
      resolve(`http://${urlHost(bound)}:${bound.port}`);
    });
  });
}

/** A wildcard address is nothing to connect to; loopback is what it includes on every host. */
function urlHost({ address, family }: AddressInfo): string {
  if (family === 'IPv6') return address === '::' ? '[::1]' : `[${address}]`;
  return address === '0.0.0.0' ? '127.0.0.1' : address;
}

function answer(issuer: Issuer, request: IncomingMessage, response: ServerResponse): void {
  const document = issuer.documents.get(request.url ?? '');
  if (document === undefined) end(response, 404, null);
  else if (request.method === 'GET' || request.method === 'HEAD') end(response, 200, document);
  else {
    response.setHeader('allow', 'GET, HEAD');
    end(response, 405, null);
  }
}

function end(response: ServerResponse, status: number, document: string | null): void {
  response.statusCode = status;
  // What was not read of a body must not be taken for the next request.
  if (document === null) response.setHeader('connection', 'close');
  else {
    response.setHeader('content-type', 'application/json');
    response.setHeader('cache-control', 'public, max-age=300');
    response.setHeader('x-content-type-options', 'nosniff');
  }
  response.end(document ?? '');
}
