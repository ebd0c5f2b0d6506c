/**
 * Duty: the requests on a connection to the gateway, in either version of HTTP, each with a tunnel of its own.
 * In → Out: Connection → its first Tunnel and the Requests behind it.
 * Holds: the version is the one of ALPN, or in clear the one that the client begins with; a connection of HTTP/2, whose requests
 *   run beside each other, is of one instance; the first request is read within its deadline; every refusal is answered on its
 *   own request.
 * Fails: `request_timeout`, what the codecs say.
 * Source: RFC 9113 §3.3, §3.4 (prior knowledge, preface).
 * Not here: what a request says (gateway.ts); bytes and order (requests.ts, http2-requests.ts).
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { EgressError } from '../core/errors.ts';
import type { Body, RequestHead, ResponseHead, Upgraded } from '../core/message.ts';
import { REQUEST_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { createRequestParser } from '../http1/request-parser.ts';
import type { Connection } from '../listener/connection.ts';
import { H2 } from './alpn.ts';
import { arrivalAt, type GatewayParts, gatewayTunnel, homeward, schemeAt, translated } from './gateway.ts';
import { Http2Requests } from './http2-requests.ts';
import { within } from './open.ts';
import { type RequestParts, TunnelRequests } from './requests.ts';
import type {
  DownstreamRequest,
  GatewayCall,
  OpenGateway,
  RefusedRequest,
  Requests,
  StandIns,
  Tunnel,
} from './tunnel.ts';

/** Null where the peer closed without a request. @throws EgressError */
export function openGateway(
  connection: Connection,
  parts: GatewayParts,
  requestParts: RequestParts,
  headDeadlineMs: number,
): Promise<OpenGateway | null> {
  return within(opened(connection, parts, requestParts), headDeadlineMs);
}

async function opened(
  connection: Connection,
  parts: GatewayParts,
  requestParts: RequestParts,
): Promise<OpenGateway | null> {
  const isHttp2 = await speaksHttp2(connection.socket);
  const inner = isHttp2 ? http2Of(connection, requestParts) : http1Of(connection, requestParts);
  const requests = new GatewayRequests(inner, parts);
  const tunnel = await requests.begin();
  return tunnel === null ? null : { tunnel, requests };
}

const http2Of = (connection: Connection, parts: RequestParts): Requests =>
  new Http2Requests(arrivalAt(connection), connection.socket, parts, schemeAt(connection));

function http1Of(connection: Connection, parts: RequestParts): Requests {
  const limits = parts.limits.requestHead ?? REQUEST_LIMITS;
  const parser = createRequestParser({ limits, defaultScheme: schemeAt(connection) });
  const reader = new MessageReader<RequestHead>(connection.socket, parser, { closed: 'downstream_aborted' });
  return new TunnelRequests(arrivalAt(connection), connection.socket, reader, parts);
}

/** The beginning of the preface, which is no method of anybody's. */
const PREFACE = 'PRI';

async function speaksHttp2(socket: Socket): Promise<boolean> {
  if (socket instanceof TLSSocket) return socket.alpnProtocol === H2;
  let begun = Buffer.alloc(0);
  while (begun.length < PREFACE.length) {
    const bytes = await nextBytes(socket);
    if (bytes === null) break;
    begun = Buffer.concat([begun, bytes]);
    if (!PREFACE.startsWith(begun.toString('latin1', 0, PREFACE.length))) break;
  }
  if (begun.length > 0) socket.unshift(begun);
  return begun.toString('latin1', 0, PREFACE.length) === PREFACE;
}

/** Null at the end. The socket is paused then. */
function nextBytes(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const finish = (bytes: Buffer | null): void => {
      socket.pause();
      socket.off('data', finish);
      socket.off('end', atEnd);
      socket.off('close', atEnd);
      resolve(bytes);
    };
    const atEnd = (): void => finish(null);
    socket.on('data', finish);
    socket.on('end', atEnd);
    socket.on('close', atEnd);
    if (socket.destroyed || socket.readableEnded) atEnd();
    else socket.resume();
  });
}

class GatewayRequests implements Requests {
  readonly isMultiplexed: boolean;
  readonly #inner: Requests;
  readonly #parts: GatewayParts;
  #first: DownstreamRequest | RefusedRequest | null = null;
  /** Handed out last. */
  #last: DownstreamRequest | null = null;
  /** What the first request showed of who asks; undefined before it. */
  #credentials: string | null | undefined = undefined;

  constructor(inner: Requests, parts: GatewayParts) {
    this.#inner = inner;
    this.#parts = parts;
    this.isMultiplexed = inner.isMultiplexed;
  }

  get tunnel(): Tunnel {
    return this.#inner.tunnel;
  }

  /** Reads the first request; `next` hands it out. Null where there is none. @throws EgressError */
  async begin(): Promise<Tunnel | null> {
    this.#first = await this.next();
    return this.#first === null ? null : (this.#first.tunnel ?? this.tunnel);
  }

  async next(): Promise<DownstreamRequest | RefusedRequest | null> {
    const first = this.#first;
    this.#first = null;
    if (first !== null) return first;
    const asked = await this.#inner.next();
    if (asked === null || 'refusal' in asked) return asked;
    this.#last = asked;
    const tunnel = gatewayTunnel(this.tunnel.connection, asked.head, this.#parts);
    const { gateway: call, proxyAuthorization } = tunnel;
    if (call === undefined) throw new EgressError('internal', { detail: 'a tunnel of the gateway without a call' });
    if (this.#credentials === undefined) this.#credentials = proxyAuthorization;
    if (this.isMultiplexed && proxyAuthorization !== this.#credentials) return refused(asked, anotherInstance());
    return call.fault === null ? new GatewayRequest(asked, tunnel, call) : { ...refused(asked, call.fault), tunnel };
  }

  async answer(head: ResponseHead, body: Body): Promise<void> {
    // Outside of its streams nothing can be said in HTTP/2.
    if (this.isMultiplexed && this.#last !== null) await refused(this.#last, null).respond(head, body);
    await this.#inner.answer(head, body);
  }

  drain(): void {
    this.#inner.drain();
  }

  cut(): void {
    this.#inner.cut();
  }
}

const anotherInstance = (): EgressError =>
  new EgressError('identity_required', { detail: 'a connection of HTTP/2 is of one instance; open another' });

function refused<R extends EgressError | null>(request: DownstreamRequest, refusal: R) {
  const respond = async (head: ResponseHead, body: Body): Promise<void> => {
    await request.respond(head, body).catch(() => {});
    request.settle?.();
  };
  return { refusal, respond };
}

class GatewayRequest implements DownstreamRequest {
  readonly tunnel: Tunnel;
  readonly head: RequestHead;
  readonly #inner: DownstreamRequest;
  readonly #call: GatewayCall;

  constructor(inner: DownstreamRequest, tunnel: Tunnel, call: GatewayCall, standIns: StandIns | null = null) {
    this.#inner = inner;
    this.#call = call;
    this.tunnel = tunnel;
    this.head = translated(inner.head, tunnel.authority, call.path, standIns);
  }

  get body(): Body {
    return this.#inner.body;
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  as(standIns: StandIns): DownstreamRequest {
    return new GatewayRequest(this.#inner, this.tunnel, this.#call, standIns);
  }

  continue(): void {
    this.#inner.continue();
  }

  respond(head: ResponseHead, body: Body, upgraded?: Upgraded): Promise<number> {
    return this.#inner.respond(homeward(head, this.tunnel.authority, this.#call), body, upgraded);
  }

  settle(): void {
    this.#inner.settle?.();
  }
}
