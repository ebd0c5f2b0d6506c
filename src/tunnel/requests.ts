/**
 * Duty: the requests on a tunnel, one after the other, and the way back for each response.
 * In → Out: stream + reader → DownstreamRequest, again and again until the tunnel ends.
 * Holds: the authority of every request equals the tunnel's; origin-form only inside TLS; no CONNECT inside, and no Upgrade
 *   but to WebSocket; the next request is read only when the response before it is out and the body before it is consumed.
 * Fails: `authority_mismatch` (421), `upgrade_unsupported`, `request_timeout`, what the codec says.
 * Source: RFC 9110 §7.4 (misdirected request), §15.5.20; RFC 9112 §9.
 * Not here: time (pace.ts), a half-closed tunnel (half-open.ts), frames (relay.ts).
 */
import type { Duplex } from 'node:stream';
import type { Deadlines } from '../core/deadlines.ts';
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body, Framing, HttpVersion, RequestHead, ResponseHead, Upgraded } from '../core/message.ts';
import { serializeResponseHead } from '../http1/head-writer.ts';
import { type HeadLimits, REQUEST_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { writeMessage } from '../http1/message-writer.ts';
import { createRequestParser } from '../http1/request-parser.ts';
import { faultOf } from '../websocket/handshake.ts';
import { abort } from './abort.ts';
import { AwaitedBody } from './awaited-body.ts';
import { HalfOpen } from './half-open.ts';
import { type OpenTunnel, tunnelFor, within } from './open.ts';
import { Pace, type PaceLimits } from './pace.ts';
import { closedOr, refuse } from './refuse.ts';
import { Relay, type RelayLimits } from './relay.ts';
import type { DownstreamRequest, Requests, Tunnel } from './tunnel.ts';

const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
/** A body that nobody read is read to its end up to here, so that a keep-alive client sees the answer. */
const MAX_DRAIN_BYTES = 256 * 1024;
const MAX_LINGER_BYTES = 4 * 1024 * 1024;
const LINGER_MS = 1_000;
/** One for all: every tunnel ends, and to record a stack costs more than the rest of the ending. */
const GONE = Object.freeze(new EgressError('downstream_aborted'));
const ENDS_IN_ORDER: ReadonlySet<ErrorCode> = new Set(['request_timeout', 'downstream_aborted']);
/** For the rest of a body that nobody read. */
const MAX_DRAIN_MS = 5_000;

export interface RequestLimits extends PaceLimits, RelayLimits {
  /** No new request is taken after this; the one under way is finished. */
  readonly tunnelLifetimeMs: number;
  /** Default: `REQUEST_LIMITS`. */
  readonly requestHead?: HeadLimits;
  /** For an answer to a workload that has closed its own side. */
  readonly halfOpenTimeoutMs: number;
  /** Streams of one connection of HTTP/2 at once. */
  readonly maxConcurrentPerWorkload?: number;
}

/** What all tunnels share. */
export interface RequestParts {
  readonly limits: RequestLimits;
  readonly deadlines: Deadlines;
}

export class TunnelRequests implements Requests {
  readonly isMultiplexed = false;
  readonly tunnel: Tunnel;
  readonly #stream: Duplex;
  readonly #reader: MessageReader<RequestHead>;
  readonly #parts: RequestParts;
  readonly #gone = new AbortController();
  readonly #pace: Pace;
  #over = false;
  #draining = false;
  /** The one that is owed an answer. */
  #owed: RequestHead | null = null;
  #isAnswering = false;
  #halfOpen: HalfOpen | null = null;
  #relay: Relay | null = null;
  /** Read already. */
  #first: OpenTunnel['first'] | null;

  constructor(
    tunnel: Tunnel,
    stream: Duplex,
    reader: MessageReader<RequestHead>,
    parts: RequestParts,
    first: OpenTunnel['first'] | null = null,
  ) {
    this.#first = first;
    this.tunnel = tunnel;
    this.#stream = stream;
    this.#reader = reader;
    this.#parts = parts;
    const lifetime = setTimeout(() => this.#retire(), parts.limits.tunnelLifetimeMs).unref();
    this.#pace = new Pace(stream, reader, parts.limits, parts.deadlines, (error) => this.#tooSlow(error));
    stream.allowHalfOpen = true;
    stream.once('end', () => this.#ended());
    stream.once('close', () => {
      clearTimeout(lifetime);
      this.#pace.end();
      this.#gone.abort(GONE);
    });
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** The response under way is the last, a WebSocket is closed. Closes at once where nothing is under way. */
  drain(): void {
    if (this.#relay !== null) this.#relay.end('drain');
    else this.#retire();
  }

  /** Null when the tunnel has ended in order. @throws EgressError; the tunnel is then over, and `answer` may still speak. */
  async next(): Promise<DownstreamRequest | null> {
    this.#owed = null;
    const first = this.#first;
    this.#first = null;
    if (first !== null) return this.#accept(first.head, first.body);
    if (this.#over || this.#draining || this.#gone.signal.aborted) return null;
    const coming = this.#reader.next();
    this.#pace.awaitsHead();
    try {
      const message = await coming;
      this.#pace.rests();
      return message === null ? null : this.#accept(message.head, message.body);
    } catch (error) {
      this.#over = true;
      // Idle or gone between two requests is no failure: nobody asked anything.
      if (error instanceof EgressError && ENDS_IN_ORDER.has(error.code) && this.#reader.isIdle) return null;
      throw error;
    }
  }

  /** Checks a head against the tunnel. @throws EgressError */
  #accept(head: RequestHead, body: Body): DownstreamRequest {
    const isUpgrade = head.headers.has('upgrade');
    const wrong = this.#misfit(head, isUpgrade);
    if (wrong !== null) {
      this.#over = true;
      throw wrong;
    }
    const tunnel = this.tunnel.kind === 'forward' ? tunnelFor(this.tunnel.connection, head) : this.tunnel;
    if (!body.isOver) this.#pace.awaitsBody();
    // Of a redirected connection the target names no scheme.
    const plain: RequestHead = tunnel.kind === 'forward' && head.scheme === null ? { ...head, scheme: 'http' } : head;
    const asked: RequestHead = isUpgrade ? { ...plain, upgrade: 'websocket' } : plain;
    this.#owed = asked;
    return new TunnelRequest(this, tunnel, asked, body);
  }

  /** Answers outside of any request, then the tunnel is over: for what could not even be parsed. */
  async answer(response: ResponseHead, body: Body): Promise<void> {
    this.#over = true;
    await refuse(this.#stream, response, body);
  }

  close(): void {
    this.#over = true;
    this.#stream.end(() => this.#stream.destroy());
  }

  /** Ends now; an answer that is under way must not look complete, and a client that does not read cannot hold it up. */
  cut(): void {
    if (this.#owed === null) {
      this.close();
      return;
    }
    this.#over = true;
    abort(this.tunnel.connection);
    this.#stream.destroy();
  }

  sendContinue(): void {
    this.#stream.write(CONTINUE);
  }

  /** `isLast`: nothing that follows on this tunnel could be told apart from the request's body. */
  async respond(request: RequestHead, isLast: boolean, response: ResponseHead, body: Body): Promise<number> {
    if (isLast || !request.keepAlive || this.#draining || this.#cannotGoOn(request)) this.#over = true;
    const bytes = await this.#write(request.version, response, body);
    // A drain that began meanwhile: the client must get the last bytes before the end.
    if (this.#draining) this.#over = true;
    if (!this.#over && !this.#reader.isBetweenMessages && !(await this.#discardBody())) this.#over = true;
    this.#owed = null;
    this.#isAnswering = false;
    if (this.#over) await this.#linger();
    return bytes;
  }

  /** Both directions until the WebSocket is over; then the tunnel is. */
  async relay(response: ResponseHead, body: Body, upgraded: Upgraded): Promise<number> {
    this.#over = true;
    this.#isAnswering = true;
    const parts = { ...this.#parts, signal: this.#gone.signal };
    this.#relay = new Relay(this.#stream, this.#reader.detach(), body, upgraded, parts);
    try {
      const bytes = await this.#relay.run(response);
      this.#stream.end();
      await closedOr(this.#stream, LINGER_MS);
      return bytes;
    } finally {
      this.#stream.destroy();
    }
  }

  /** The workload has closed its side. */
  #ended(): void {
    if (this.#owed === null || this.#relay !== null) return;
    if (this.#isAnswering || this.#owed.version === '1.0') this.#stream.destroy();
    else this.#halfOpen = new HalfOpen(this.#stream, this.#parts.limits.halfOpenTimeoutMs);
  }

  #retire(): void {
    this.#draining = true;
    if (this.#reader.isIdle && this.#owed === null) this.close();
  }

  #tooSlow(error: EgressError): void {
    if (error.code === 'downstream_aborted') this.#stream.destroy(error);
    else this.#reader.giveUp(error);
  }

  /** Nothing can follow, or only behind more of a body than anybody drops. */
  #cannotGoOn({ framing }: RequestHead): boolean {
    if (this.#reader.isBetweenMessages) return this.#halfOpen !== null && this.#reader.isIdle;
    return framing.kind === 'length' && framing.length > MAX_DRAIN_BYTES;
  }

  #misfit(head: RequestHead, isUpgrade: boolean): EgressError | null {
    const inside = this.tunnel.kind !== 'forward';
    if (head.method === 'CONNECT') return new EgressError('request_malformed', { detail: 'CONNECT inside a tunnel' });
    if (isUpgrade) {
      const fault = faultOf(head);
      if (fault !== null) return new EgressError('upgrade_unsupported', { detail: fault });
    }
    if (inside && head.form === 'absolute')
      return new EgressError('request_malformed', { detail: 'absolute-form inside a tunnel' });
    if (head.authority === null) return new EgressError('authority_malformed', { detail: 'the request names no host' });
    if (this.tunnel.kind === 'connect' && head.authority.text !== this.tunnel.authority.text) {
      return new EgressError('authority_mismatch', { detail: 'Host is not the CONNECT target' });
    }
    return null;
  }

  /** Whether the request's body is over, what was left of it dropped. */
  async #discardBody(): Promise<boolean> {
    try {
      const waitMs = Math.min(MAX_DRAIN_MS, this.#parts.limits.idleTimeoutMs);
      return await within(this.#reader.drain(MAX_DRAIN_BYTES), waitMs);
    } catch {
      return false;
    }
  }

  /** Ends our side and lets the client read the answer before its unread bytes would make the kernel reset the connection. */
  async #linger(): Promise<void> {
    await this.#flushed();
    await within(this.#reader.drain(MAX_LINGER_BYTES), LINGER_MS).catch(() => false);
    this.close();
  }

  /** Whoever destroys the socket beneath before this takes the last bytes of the answer with it. */
  async #flushed(): Promise<void> {
    const flushed = new Promise<void>((resolve) => {
      this.#stream.once('close', resolve);
      this.#stream.end(() => resolve());
    });
    await within(flushed, this.#parts.limits.idleTimeoutMs).catch(() => {});
  }

  #write(version: HttpVersion, response: ResponseHead, body: Body): number | Promise<number> {
    const framing = framingFor(version, response.framing);
    if (framing.kind === 'close') this.#over = true;
    const headers = this.#over ? withClose(response.headers) : response.headers;
    const { status, reason, keepAlive } = response;
    const head = serializeResponseHead({ status, reason, version: '1.1', headers, framing, keepAlive });
    this.#isAnswering = true;
    this.#halfOpen?.answers();
    const written = writeMessage(this.#stream, head, framing, body, { signal: this.#gone.signal });
    if (typeof written === 'number') return written;
    this.#pace.awaitsReader();
    return this.#unlessBroken(written, framing);
  }

  async #unlessBroken(written: Promise<number>, framing: Framing): Promise<number> {
    try {
      const bytes = await written;
      this.#pace.rests();
      return bytes;
    } catch (error) {
      // A response that broke must not look complete: no terminator, no orderly end.
      this.#over = true;
      // Where the end of the connection is the end of the body, an end in order would complete it.
      if (framing.kind === 'close') abort(this.tunnel.connection);
      this.#stream.destroy();
      throw unreachable(error);
    }
  }
}

class TunnelRequest implements DownstreamRequest {
  readonly tunnel: Tunnel;
  readonly head: RequestHead;
  readonly body: Body;
  readonly #requests: TunnelRequests;
  #mayContinue: boolean;

  constructor(requests: TunnelRequests, tunnel: Tunnel, head: RequestHead, body: Body) {
    this.#requests = requests;
    this.tunnel = tunnel;
    this.head = head;
    this.#mayContinue = head.expectsContinue;
    this.body = head.expectsContinue ? new AwaitedBody(body, () => this.continue()) : body;
  }

  get signal(): AbortSignal {
    return this.#requests.signal;
  }

  continue(): void {
    if (this.#mayContinue) this.#requests.sendContinue();
    this.#mayContinue = false;
  }

  respond(head: ResponseHead, body: Body, upgraded?: Upgraded): Promise<number> {
    if (upgraded !== undefined) return this.#requests.relay(head, body, upgraded);
    // A client that still waits for 100 must not be followed by a guess whether its body comes (RFC 9110 §10.1.1).
    const isLast = this.#mayContinue && !this.body.isOver;
    this.#mayContinue = false;
    return this.#requests.respond(this.head, isLast, head, body);
  }
}

/** The writer of a message knows no sides: what it could not write to is the workload. */
function unreachable(error: unknown): unknown {
  const isOurs = error instanceof EgressError && error.code === 'connection_terminated';
  return isOurs ? new EgressError('downstream_aborted', { cause: error }) : error;
}

function withClose(headers: HeaderList): HeaderList {
  const closing = headers.copy();
  closing.set('Connection', 'close');
  return closing;
}

/** The requests of a connection that needs no TLS of ours; its first one has been read already. */
export function forwardRequests(open: OpenTunnel, parts: RequestParts): TunnelRequests {
  return new TunnelRequests(open.tunnel, open.tunnel.connection.socket, open.reader, parts, open.first);
}

/** The requests inside a tunnel whose TLS is terminated. */
export function secureRequests(tunnel: Tunnel, secure: Duplex, parts: RequestParts): TunnelRequests {
  const limits = parts.limits.requestHead ?? REQUEST_LIMITS;
  const parser = createRequestParser({ limits, defaultScheme: 'https' });
  return new TunnelRequests(
    tunnel,
    secure,
    new MessageReader<RequestHead>(secure, parser, { closed: 'downstream_aborted' }),
    parts,
  );
}

/** HTTP/1.0 knows no chunks; towards 1.1 a close-delimited upstream body becomes chunked, so its end is certain. */
function framingFor(version: HttpVersion, framing: Framing): Framing {
  if (version === '1.0' && framing.kind === 'chunked') return { kind: 'close' };
  if (version === '1.1' && framing.kind === 'close') return { kind: 'chunked' };
  return framing;
}
