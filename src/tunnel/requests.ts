/**
 * Duty: the requests on a tunnel, one after the other, and the way back for each response.
 * In → Out: stream + reader → DownstreamRequest, again and again until the tunnel ends.
 * Holds: the authority of every request equals the tunnel's; origin-form only inside TLS; no CONNECT, no Upgrade inside;
 *   the next request is read only when the response before it is out and the body before it is consumed.
 * Fails: `authority_mismatch` (421), `upgrade_unsupported`, what the codec says.
 * Source: RFC 9110 §7.4 (misdirected request), §15.5.20; RFC 9112 §9.
 */
import type { Duplex } from 'node:stream';
import type { Deadlines, Watched } from '../core/deadlines.ts';
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body, Framing, RequestHead, ResponseHead } from '../core/message.ts';
import { serializeResponseHead } from '../http1/head-writer.ts';
import { type HeadLimits, REQUEST_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { writeMessage } from '../http1/message-writer.ts';
import { createRequestParser } from '../http1/request-parser.ts';
import { type OpenTunnel, tunnelFor, within } from './open.ts';
import { refuse } from './refuse.ts';
import type { DownstreamRequest, Tunnel } from './tunnel.ts';

const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
/** A body that nobody read is read to its end up to here, so that a keep-alive client sees the answer. */
const MAX_DRAIN_BYTES = 256 * 1024;
const MAX_LINGER_BYTES = 4 * 1024 * 1024;
const LINGER_MS = 1_000;
const ENDS_IN_ORDER: ReadonlySet<ErrorCode> = new Set(['request_timeout', 'downstream_aborted']);

export interface RequestLimits {
  /** From the end of one response to the next head. */
  readonly idleTimeoutMs: number;
  /** No new request is taken after this; the one under way is finished. */
  readonly tunnelLifetimeMs: number;
  /** Default: `REQUEST_LIMITS`. */
  readonly requestHead?: HeadLimits;
}

/** What all tunnels share. */
export interface RequestParts {
  readonly limits: RequestLimits;
  readonly deadlines: Deadlines;
}

export class TunnelRequests implements Watched {
  readonly tunnel: Tunnel;
  /** While the next head is waited for. */
  deadline = Number.POSITIVE_INFINITY;
  readonly #stream: Duplex;
  readonly #reader: MessageReader<RequestHead>;
  readonly #parts: RequestParts;
  readonly #gone = new AbortController();
  #over = false;
  #draining = false;

  constructor(tunnel: Tunnel, stream: Duplex, reader: MessageReader<RequestHead>, parts: RequestParts) {
    this.tunnel = tunnel;
    this.#stream = stream;
    this.#reader = reader;
    this.#parts = parts;
    const lifetime = setTimeout(() => this.drain(), parts.limits.tunnelLifetimeMs).unref();
    parts.deadlines.watch(this);
    stream.once('close', () => {
      clearTimeout(lifetime);
      parts.deadlines.unwatch(this);
      this.#gone.abort(new EgressError('downstream_aborted'));
    });
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** The response under way is the last. Closes at once where nothing is under way. */
  drain(): void {
    this.#draining = true;
    if (this.#reader.isIdle) this.close();
  }

  expire(): void {
    this.#reader.giveUp(new EgressError('request_timeout'));
  }

  /** Null when the tunnel has ended in order. @throws EgressError; the tunnel is then over, and `answer` may still speak. */
  async next(): Promise<DownstreamRequest | null> {
    if (this.#over || this.#draining || this.#gone.signal.aborted) return null;
    const { deadlines, limits } = this.#parts;
    this.deadline = deadlines.in(limits.idleTimeoutMs);
    try {
      const message = await this.#reader.next();
      return message === null ? null : this.accept(message.head, message.body);
    } catch (error) {
      this.#over = true;
      // Idle or gone between two requests is no failure: nobody asked anything.
      if (error instanceof EgressError && ENDS_IN_ORDER.has(error.code) && this.#reader.isIdle) return null;
      throw error;
    } finally {
      this.deadline = Number.POSITIVE_INFINITY;
    }
  }

  /** Checks a head against the tunnel. @throws EgressError */
  accept(head: RequestHead, body: Body): DownstreamRequest {
    const wrong = this.#misfit(head);
    if (wrong !== null) {
      this.#over = true;
      throw wrong;
    }
    const tunnel = this.tunnel.kind === 'forward' ? tunnelFor(this.tunnel.connection, head) : this.tunnel;
    return new TunnelRequest(this, tunnel, head, body);
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

  sendContinue(): void {
    this.#stream.write(CONTINUE);
  }

  /** `isLast`: nothing that follows on this tunnel could be told apart from the request's body. */
  async respond(request: RequestHead, isLast: boolean, response: ResponseHead, body: Body): Promise<number> {
    if (isLast || !request.keepAlive || this.#draining) this.#over = true;
    const bytes = await this.#write(request.version, response, body);
    if (!this.#over && !this.#reader.isBetweenMessages && !(await this.#discardBody())) this.#over = true;
    if (this.#over) await this.#linger();
    return bytes;
  }

  #misfit(head: RequestHead): EgressError | null {
    const inside = this.tunnel.kind === 'connect';
    if (head.method === 'CONNECT') return new EgressError('request_malformed', { detail: 'CONNECT inside a tunnel' });
    if (head.headers.has('upgrade'))
      return new EgressError('upgrade_unsupported', { detail: 'this version relays no protocol upgrade' });
    if (inside && head.form === 'absolute')
      return new EgressError('request_malformed', { detail: 'absolute-form inside a tunnel' });
    if (head.authority === null) return new EgressError('authority_malformed', { detail: 'the request names no host' });
    if (inside && head.authority.text !== this.tunnel.authority.text) {
      return new EgressError('authority_mismatch', { detail: 'Host is not the CONNECT target' });
    }
    return null;
  }

  /** Whether the request's body is over, what was left of it dropped. */
  async #discardBody(): Promise<boolean> {
    try {
      return await within(this.#reader.drain(MAX_DRAIN_BYTES), this.#parts.limits.idleTimeoutMs);
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

  #write(version: '1.0' | '1.1', response: ResponseHead, body: Body): number | Promise<number> {
    const framing = framingFor(version, response.framing);
    if (framing.kind === 'close') this.#over = true;
    const headers = this.#over ? withClose(response.headers) : response.headers;
    const { status, reason, keepAlive } = response;
    const head = serializeResponseHead({ status, reason, version: '1.1', headers, framing, keepAlive });
    const written = writeMessage(this.#stream, head, framing, body, { signal: this.#gone.signal });
    return typeof written === 'number' ? written : this.#unlessBroken(written, framing);
  }

  async #unlessBroken(written: Promise<number>, framing: Framing): Promise<number> {
    try {
      return await written;
    } catch (error) {
      // A response that broke must not look complete: no terminator, no orderly end.
      this.#over = true;
      // Where the end of the connection is the end of the body, an end in order would complete it.
      if (framing.kind === 'close') this.tunnel.connection.socket.resetAndDestroy();
      this.#stream.destroy();
      throw error;
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
    this.body = body;
    this.#mayContinue = head.expectsContinue;
  }

  get signal(): AbortSignal {
    return this.#requests.signal;
  }

  continue(): void {
    if (this.#mayContinue) this.#requests.sendContinue();
    this.#mayContinue = false;
  }

  respond(head: ResponseHead, body: Body): Promise<number> {
    // A client that still waits for 100 must not be followed by a guess whether its body comes (RFC 9110 §10.1.1).
    const isLast = this.#mayContinue;
    this.#mayContinue = false;
    return this.#requests.respond(this.head, isLast, head, body);
  }
}

function withClose(headers: HeaderList): HeaderList {
  const closing = headers.copy();
  closing.set('Connection', 'close');
  return closing;
}

/** The requests of a connection that needs no TLS of ours; its first one has been read already. */
export function forwardRequests(open: OpenTunnel, parts: RequestParts): TunnelRequests {
  return new TunnelRequests(open.tunnel, open.tunnel.connection.socket, open.reader, parts);
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
function framingFor(version: '1.0' | '1.1', framing: Framing): Framing {
  if (version === '1.0' && framing.kind === 'chunked') return { kind: 'close' };
  if (version === '1.1' && framing.kind === 'close') return { kind: 'chunked' };
  return framing;
}
