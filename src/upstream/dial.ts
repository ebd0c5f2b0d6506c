/**
 * Duty: a connection to one of the checked addresses, TLS verified for the policy's host.
 * In → Out: Authority, scheme, targets → open socket.
 * Holds: only given addresses are dialled, and the peer's address is compared afterwards; an https socket is handed out only
 *   after chain and name were verified, so no byte of a request can go before; TLS sessions are never resumed.
 * Fails: `connection_*`, `destination_ip_unroutable`, `tls_*`, `overload`.
 * Source: RFC 9209 §2.3 (which failure is which).
 * Not here: which addresses (`resolve.ts`), which roots (`trust.ts`), reuse (`pool.ts`).
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, TLSSocket } from 'node:tls';
import type { Authority } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError, type ErrorCode, toEgressError } from '../core/errors.ts';
import { formatIp, parseIp, unmapped } from '../core/ip-address.ts';
import type { OwnEnds } from '../core/own-ends.ts';
import type { CorporateProxy } from './corporate-proxy.ts';
import type { DialTarget } from './resolve.ts';
import { checkIdentity } from './trust.ts';

export interface DialRequest {
  /** Name and port of the policy: what the certificate must say. */
  readonly authority: Authority;
  readonly scheme: 'http' | 'https';
  readonly targets: readonly DialTarget[];
  /** The way to them; null: straight. */
  readonly via: CorporateProxy | null;
  /** Names of ALPN that are offered. Default: HTTP/1.1 alone. */
  readonly protocols?: readonly string[];
  readonly signal: AbortSignal;
}

export interface Dialled {
  readonly socket: Socket;
  readonly address: string;
}

export interface DialParts {
  /** Of all connections that are open; absent: nobody wants to know. */
  readonly ownEnds?: OwnEnds;
  readonly trust: SecureContext;
  readonly clock: Clock;
  /** For all addresses together, TLS included. */
  readonly connectTimeoutMs: number;
}

/** Below this an address has no fair chance, so the last ones may go untried. */
const MIN_ATTEMPT_MS = 250;

/** The caller owns the socket, which has an `error` listener and is not flowing. @throws EgressError */
export async function dial(request: DialRequest, parts: DialParts): Promise<Dialled> {
  const until = parts.clock.monotonicMs() + parts.connectTimeoutMs;
  let failure = new EgressError('connection_timeout');
  for (const [index, target] of request.targets.entries()) {
    const leftMs = until - parts.clock.monotonicMs();
    if (leftMs <= 0) break;
    const share = Math.min(leftMs, Math.max(leftMs / (request.targets.length - index), MIN_ATTEMPT_MS));
    try {
      const tunnel = await tunnelTo(request, target, share);
      return { socket: await attempt(request, { target, tunnel }, parts, share), address: target.address };
    } catch (thrown) {
      failure = toEgressError(thrown);
      // Another address of the same name is no answer to a wrong certificate, nor to a workload that left.
      if (!TRY_NEXT.has(failure.code)) break;
    }
  }
  throw failure;
}

const TRY_NEXT: ReadonlySet<ErrorCode> = new Set([
  'connection_refused',
  'connection_timeout',
  'connection_terminated',
  'destination_ip_unroutable',
]);

/** Null where the way is straight. */
async function tunnelTo({ via, signal }: DialRequest, target: DialTarget, timeoutMs: number): Promise<Socket | null> {
  if (via === null) return null;
  const late = AbortSignal.timeout(Math.ceil(timeoutMs));
  try {
    return await via.connect(target, AbortSignal.any([signal, late]));
  } catch (thrown) {
    throw late.aborted && !signal.aborted ? new EgressError('connection_timeout', { cause: thrown }) : thrown;
  }
}

interface Way {
  readonly target: DialTarget;
  readonly tunnel: Socket | null;
}

function attempt(request: DialRequest, way: Way, { trust, ownEnds }: DialParts, timeoutMs: number): Promise<Socket> {
  const { signal, scheme } = request;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(toEgressError(signal.reason));
    if (way.tunnel !== null && scheme === 'http') return resolve(way.tunnel);
    let isConnected = way.tunnel !== null;
    const socket = scheme === 'https' ? openTls(request, way, trust) : openTcp(way.target);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('close', onClose);
    };
    const fail = (error: EgressError): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const succeed = (): void => {
      settle();
      // Never without a listener: an unheard error would end the process.
      socket.on('error', ignore);
      socket.removeListener('error', onError);
      resolve(socket);
    };
    const onAbort = (): void => fail(toEgressError(signal.reason));
    const onError = (error: Error): void => fail(isConnected ? connectionError(error, socket) : dialError(error));
    const onClose = (): void => fail(new EgressError('connection_terminated', { detail: 'closed before it was open' }));
    const timer = setTimeout(() => fail(new EgressError('connection_timeout')), timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', onClose);
    socket.on('error', onError);
    socket.once('connect', () => {
      isConnected = true;
      // Reset already: the kernel knows no peer any more, and `close` is on its way.
      if (socket.remoteAddress === undefined) return;
      if (ownEnds !== undefined) remember(socket, ownEnds);
      if (!isAt(socket, way)) {
        fail(new EgressError('destination_ip_prohibited', { detail: 'the peer has another address' }));
      } else if (scheme === 'http') succeed();
    });
    socket.once('secureConnect', () => {
      // Within this event OpenSSL takes no data yet: Node would put a copy of the head aside, which nobody zeroes.
      setImmediate(() => {
        if (socket.destroyed) return;
        if (!isAt(socket, way)) fail(new EgressError('connection_terminated'));
        else if (isVerified(socket)) succeed();
        else fail(new EgressError('tls_certificate_error'));
      });
    });
  });
}

function remember(socket: Socket, ownEnds: OwnEnds): void {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return;
  const theirs = { address: remoteAddress ?? '', port: remotePort ?? 0 };
  socket.once('close', ownEnds.add({ address: localAddress, port: localPort }, theirs));
}

function ignore(): void {}

function openTcp(target: DialTarget): Socket {
  return connectTcp({ host: target.address, port: target.port, noDelay: true });
}

function openTls(
  { authority, protocols = ['http/1.1'] }: DialRequest,
  { target, tunnel }: Way,
  trust: SecureContext,
): Socket {
  const { host, hostKind } = authority;
  return connectTls({
    ...(tunnel === null ? { host: target.address, port: target.port } : { socket: tunnel }),
    // An address has no place in SNI (RFC 6066 §3).
    servername: hostKind === 'name' ? host : '',
    secureContext: trust,
    ALPNProtocols: [...protocols],
    rejectUnauthorized: true,
    checkServerIdentity: (_dialled, certificate) => checkIdentity(host, hostKind, certificate),
  }).setNoDelay(true);
}

/** Behind a tunnel the peer is the proxy, which was told the address. */
function isAt(socket: Socket, { target, tunnel }: Way): boolean {
  if (tunnel !== null) return true;
  const bytes = parseIp(socket.remoteAddress ?? '');
  return bytes !== null && formatIp(unmapped(bytes)) === target.address && socket.remotePort === target.port;
}

function isVerified(socket: Socket): boolean {
  return socket instanceof TLSSocket && socket.encrypted && socket.authorized && !socket.isSessionReused();
}

const DIAL_ERRORS: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['ECONNREFUSED', 'connection_refused'],
  ['ECONNRESET', 'connection_terminated'],
  ['ETIMEDOUT', 'connection_timeout'],
  ['ENETUNREACH', 'destination_ip_unroutable'],
  ['EHOSTUNREACH', 'destination_ip_unroutable'],
  ['ENETDOWN', 'destination_ip_unroutable'],
  ['EHOSTDOWN', 'destination_ip_unroutable'],
  ['EACCES', 'destination_ip_unroutable'],
  ['EPERM', 'destination_ip_unroutable'],
  ['EINVAL', 'destination_ip_unroutable'],
  // No local port is left.
  ['EADDRNOTAVAIL', 'connection_limit_reached'],
  ['EMFILE', 'overload'],
  ['ENFILE', 'overload'],
]);

function dialError(error: Error): EgressError {
  return new EgressError(DIAL_ERRORS.get(codeOf(error)) ?? 'connection_refused', { cause: error });
}

/** Alerts of RFC 6066 §9, which OpenSSL does not call so. */
const EXTENSION_ALERT =
  /^ERR_SSL_TLSV1_(?:UNSUPPORTED_EXTENSION|CERTIFICATE_UNOBTAINABLE|UNRECOGNIZED_NAME|BAD_CERTIFICATE_(?:STATUS_RESPONSE|HASH_VALUE))$/;

/** What an error of a connected socket means, during the handshake or later. */
export function connectionError(error: Error, socket: Socket): EgressError {
  const code = codeOf(error);
  // `authorizationError` is set where verification failed and nowhere else, whatever OpenSSL calls the failure.
  if (socket instanceof TLSSocket && socket.authorizationError) {
    return new EgressError('tls_certificate_error', { detail: certificateDetail(code), cause: error });
  }
  if (code.startsWith('ERR_SSL_')) {
    const isAlert = code.includes('_ALERT_') || EXTENSION_ALERT.test(code);
    return new EgressError(isAlert ? 'tls_alert_received' : 'tls_protocol_error', { cause: error });
  }
  if (code === 'EPROTO' || code.startsWith('ERR_TLS_')) return new EgressError('tls_protocol_error', { cause: error });
  if (code === 'ETIMEDOUT') return new EgressError('connection_timeout', { cause: error });
  return new EgressError('connection_terminated', { cause: error });
}

/** OpenSSL's word for it is a constant of its source and says nothing of the peer. */
function certificateDetail(code: string): string {
  return /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? code : 'verification failed';
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
