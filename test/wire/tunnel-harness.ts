/**
 * Duty: hops 1 to 3 on real sockets, with a stand-in for the exchange: what a connection may and may not do.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { createAuditStage } from '../../src/audit/exchange-record.ts';
import { type ConnectionStages, serveConnection } from '../../src/connection.ts';
import { Deadlines } from '../../src/core/deadlines.ts';
import { EgressError } from '../../src/core/errors.ts';
import { HeaderList } from '../../src/core/headers.ts';
import { bodyOf, collectBody, type Http2Use } from '../../src/core/message.ts';
import type { Denial } from '../../src/core/reasons.ts';
import type { Connection } from '../../src/listener/connection.ts';
import { type Listener, openExplicitListener } from '../../src/listener/explicit.ts';
import { requestsInside } from '../../src/tunnel/http2-requests.ts';
import { caId, createCaCertificate, createCaKey, createIssuingCa } from '../../src/tunnel/issuing-ca.ts';
import { shortestOf } from '../../src/tunnel/pace.ts';
import { openConnection } from '../../src/tunnel/redirected.ts';
import { refuse } from '../../src/tunnel/refuse.ts';
import { forwardRequests, type RequestLimits } from '../../src/tunnel/requests.ts';
import { terminate } from '../../src/tunnel/terminate.ts';
import type { DownstreamRequest, Requests } from '../../src/tunnel/tunnel.ts';
import { CaptureSink } from '../fakes/capture-audit.ts';
import { workloadNamed } from '../fakes/fake-trust-domain.ts';
import { clock } from './upstream-world.ts';

const keyPem = createCaKey();
export const caPem = createCaCertificate(keyPem, caId(keyPem), Date.now());
const ca = createIssuingCa({ keyPem, certificatePem: caPem }, clock);
const DENIED: Denial = {
  kind: 'denial',
  reason: 'destination_unknown',
  rule: null,
  detail: 'no service',
  retryAfterMs: null,
  revision: 'r1',
};

export interface TunnelProxy {
  readonly listener: Listener;
  readonly sink: CaptureSink;
  /** `METHOD target body` of every request that reached the exchange. */
  readonly seen: string[];
  /** Every tunnel takes no more requests. */
  drain(): void;
  close(): Promise<void>;
}

export interface Timeouts extends Partial<RequestLimits> {
  readonly headDeadlineMs?: number;
  /** Of every Service. */
  readonly http2?: Http2Use;
  readonly tlsHandshakeTimeoutMs?: number;
}

const LIMITS: RequestLimits = {
  idleTimeoutMs: 5_000,
  requestHeadTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  minBodyBytesPerSecond: 1_024,
  bodyRateGraceMs: 5_000,
  halfOpenTimeoutMs: 5_000,
  tunnelLifetimeMs: 60_000,
  webSocketLifetimeMs: 60_000,
  webSocketIdleTimeoutMs: 5_000,
};

/** Answers every request with its own body; `deny` is asked before the body is read. */
export async function openTunnelProxy(
  timeouts: Timeouts = {},
  exchange: (request: DownstreamRequest, seen: string[]) => Promise<void> = echo,
  from: Partial<Connection> = {},
): Promise<TunnelProxy> {
  const sink = new CaptureSink();
  const seen: string[] = [];
  const live = new Set<Requests>();
  const limits = { ...LIMITS, ...timeouts };
  const parts = { limits, deadlines: new Deadlines(clock, shortestOf(limits)) };
  const stages: ConnectionStages = {
    openTunnel: (connection) => openConnection({ ...connection, ...from }, timeouts.headDeadlineMs ?? 5_000),
    identify: async (tunnel) => {
      if (tunnel.proxyAuthorization === 'Bearer wrong') throw new EgressError('identity_required');
      return workloadNamed('ai-agent');
    },
    admit: () => () => {},
    forbids: (_workload, tunnel) => (tunnel.authority.host === 'forbidden.example' ? DENIED : null),
    terminate: async (open) =>
      requestsInside(
        open.tunnel,
        await terminate(open, ca, timeouts.tlsHandshakeTimeoutMs ?? 5_000, timeouts.http2 ?? null),
        parts,
      ),
    forward: (open) => forwardRequests(open, parts),
    refuse,
    exchange: (_workload, request) => exchange(request, seen),
    track: (_workload, requests) => {
      live.add(requests);
      return () => live.delete(requests);
    },
    audit: createAuditStage(sink, clock),
    observeRefusal: () => {},
  };
  const listener = await openExplicitListener(
    { address: '127.0.0.1', port: 0, maxConnections: 100 },
    clock,
    (connection) => {
      void serveConnection(stages, connection);
    },
  );
  const drain = (): void => {
    for (const requests of live) requests.drain();
  };
  return { listener, sink, seen, drain, close: () => listener.drain(0) };
}

async function echo(request: DownstreamRequest, seen: string[]): Promise<void> {
  request.continue();
  const body = (await collectBody(request.body, 1_000_000)) ?? Buffer.from('too long');
  seen.push(`${request.head.method} ${request.head.target} ${body.toString('latin1')}`);
  const headers = HeaderList.of(['Content-Type', 'text/plain']);
  await request.respond(
    {
      status: 200,
      reason: 'OK',
      version: '1.1',
      headers,
      framing: { kind: 'length', length: body.length },
      keepAlive: true,
    },
    bodyOf(body),
  );
}

/** Everything that comes until the peer closes, or until `enough` says so. */
export function readAll(
  socket: Socket | TLSSocket,
  enough: (text: string) => boolean = () => false,
  timeoutMs = 4_000,
): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => finish(), timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      resolve(text);
    };
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (enough(text)) finish();
    });
    socket.on('error', () => finish());
    socket.once('end', finish);
    socket.once('close', finish);
  });
}

/** Sends raw bytes to the proxy port and gives what came back until it closed. */
export async function rawExchange(proxy: TunnelProxy, bytes: string | Buffer): Promise<string> {
  const socket = connect(proxy.listener.bound.port, '127.0.0.1');
  const answer = readAll(socket);
  socket.write(bytes);
  const text = await answer;
  socket.destroy();
  return text;
}

export async function openConnect(
  proxy: TunnelProxy,
  authority: string,
  fields = '',
): Promise<{ socket: Socket; answer: string }> {
  const socket = connect(proxy.listener.bound.port, '127.0.0.1');
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`);
  const answer = await readAll(socket, (text) => text.includes('\r\n\r\n'));
  socket.removeAllListeners('data');
  return { socket, answer };
}

/** A tunnel with TLS inside, as a client opens it. Rejects where the handshake fails. */
export async function openSecure(
  proxy: TunnelProxy,
  authority: string,
  servername = authority.slice(0, authority.lastIndexOf(':')),
  protocols = ['h2', 'http/1.1'],
): Promise<TLSSocket> {
  const { socket } = await openConnect(proxy, authority);
  return secureInside(socket, servername, protocols);
}

/** Rejects where the handshake fails. */
export function secureInside(socket: Socket, servername: string, protocols = ['http/1.1']): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connectTls(
      { socket, servername, ca: caPem, ALPNProtocols: protocols, checkServerIdentity: () => undefined },
      () => resolve(secure),
    );
    secure.once('error', reject);
    secure.once('close', () => reject(new Error('closed during the handshake')));
  });
}
