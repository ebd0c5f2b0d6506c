/**
 * Duty: the two documents by which Vault verifies workload tokens, over HTTP.
 * In → Out: GET of the discovery document or the key set → JSON; anything else → 404, 405 or 400.
 * Holds: nothing but public keys is served; a request is small and quick or it is cut; no body is read; a certificate that was
 *   replaced counts from the next reload on.
 * Fails: `configuration_invalid` where the address cannot be listened on or certificate and key cannot be used.
 * Source: OpenID Connect Discovery 1.0 §4; RFC 7517.
 * Not here: the documents (issuer.ts).
 */
import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { EgressError } from '../core/errors.ts';
import type { Issuer } from './issuer.ts';
import type { IssuerOptions } from './options.ts';

export interface IssuerEndpoint {
  /** Where it listens: `http://127.0.0.1:8201`. */
  readonly url: string;
  /** Reads certificate and key again. @throws EgressError `configuration_invalid`; those of before stay then. */
  renewCertificate(): void;
  close(): Promise<void>;
}

export type EndpointOptions = Pick<IssuerOptions, 'listen' | 'tls'>;

const MAX_CONNECTIONS = 64;
const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
  insecureHTTPParser: false,
} as const;
const TLS = { minVersion: 'TLSv1.2', handshakeTimeout: 5000, ALPNProtocols: ['http/1.1'] } as const;
const READABLE_BY_ALL = 0o004;

/** Listens, and tells the issuer its URL. @throws EgressError `configuration_invalid`. */
export async function openIssuerEndpoint(issuer: Issuer, { listen, tls }: EndpointOptions): Promise<IssuerEndpoint> {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => answer(issuer, request, response);
  const secured = tls === null ? null : createTlsServer({ ...LIMITS, ...TLS, ...readCertificate(tls) }, onRequest);
  const server: Server | TlsServer = secured ?? createServer(LIMITS, onRequest);
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = 100;
  server.on('clientError', (_error, socket) => {
    socket.destroy();
  });
  const url = await bind(server, listen, tls === null ? 'http' : 'https');
  issuer.locate(url);
  return {
    url,
    renewCertificate: () => {
      if (tls !== null) secured?.setSecureContext(readCertificate(tls));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Certificate = { readonly cert: Buffer; readonly key: Buffer };

function readCertificate({ certificateFile, keyFile }: NonNullable<EndpointOptions['tls']>): Certificate {
  const unusable = (what: string, cause?: unknown): EgressError =>
    new EgressError('configuration_invalid', { detail: `issuer.tls: ${what}`, cause });
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
      throw unusable(`${path} cannot be read (${code}); let the proxy's user read it, or name another file`, cause);
    }
  };
  const certificate = { cert: read(certificateFile), key: read(keyFile) };
  if ((statSync(keyFile).mode & READABLE_BY_ALL) !== 0)
    throw unusable(`everybody may read ${keyFile}; run chmod o-r on it`);
  try {
    createSecureContext(certificate);
  } catch {
    // The cause could show the key.
    throw unusable(
      `${certificateFile} and ${keyFile} are not a PEM certificate and its private key without a passphrase`,
    );
  }
  return certificate;
}

function bind(
  server: Server | TlsServer,
  { address, port }: IssuerOptions['listen'],
  scheme: 'http' | 'https',
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const detail = `the issuer cannot listen on ${address} port ${port}: ${cause.code ?? 'unknown'}`;
      reject(new EgressError('configuration_invalid', { detail, cause }));
    });
    server.listen({ host: address, port }, () => {
      const bound = server.address() as AddressInfo;
      resolve(`${scheme}://${urlHost(bound)}:${bound.port}`);
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
    response.setHeader('content-length', Buffer.byteLength(document));
    response.setHeader('cache-control', 'public, max-age=300');
    response.setHeader('x-content-type-options', 'nosniff');
  }
  response.end(document ?? '');
}
