/**
 * Duty: the requests on a tunnel, one after the other, and the way back for each response.
 * In → Out: stream + reader → DownstreamRequest, again and again until the tunnel ends.
 * Holds: the authority of every request equals the tunnel's; origin-form only inside TLS; no CONNECT, no Upgrade inside;
 *   the next request is read only when the response before it is out and the body before it is consumed.
 * Fails: `authority_mismatch` (421), `upgrade_unsupported`, what the codec says.
 * Source: RFC 9110 §7.4 (misdirected request), §15.5.20; RFC 9112 §9.
 */
import type { Duplex } from 'node:stream';
import { EgressError } from '../core/errors.ts';
import type { Body, Framing, RequestHead, ResponseHead } from '../core/message.ts';
import { serializeResponseHead } from '../http1/head-writer.ts';
import { REQUEST_LIMITS } from '../http1/message-parser.ts';
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

export interface RequestLimits {
  /** From the end of one response to the next head. */
  readonly idleTimeoutMs: number;
  /** No new request is taken after this; the one under way is finished. */
  readonly tunnelLifetimeMs: number;
}

export class TunnelRequests {
  readonly tunnel: Tunnel;
  readonly #stream: Duplex;
  readonly #reader: MessageReader<RequestHead>;
  readonly #limits: RequestLimits;
  readonly #gone = new AbortController();
  #over = false;
  #draining = false;

  constructor(tunnel: Tunnel, stream: Duplex, reader: MessageReader<RequestHead>, limits: RequestLimits) {
    this.tunnel = tunnel;
    this.#stream = stream;
    this.#reader = reader;
    this.#limits = limits;
    const lifetime = setTimeout(() => this.drain(), limits.tunnelLifetimeMs).unref();
    stream.once('close', () => {
      clearTimeout(lifetime);
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

  /** Null when the tunnel has ended in order. @throws EgressError; the tunnel is then over, and `answer` may still speak. */
  async next(): Promise<DownstreamRequest | null> {
    if (this.#over || this.#draining) return null;
    const message = await this.#nextMessage();
    return message === null ? null : this.accept(message.head, message.body);
  }

  /** Checks a head against the tunnel. @throws EgressError */
  accept(head: RequestHead, body: Body): DownstreamRequest {
    const wrong = this.#misfit(head);
    if (wrong !== null) {
      this.#over = true;
      throw wrong;
    }
    let mayContinue = head.expectsContinue;
    return {
      tunnel: this.tunnel.kind === 'forward' ? tunnelFor(this.tunnel.connection, head) : this.tunnel,
      head,
      body,
      signal: this.#gone.signal,
      continue: () => {
        if (mayContinue) this.#stream.write(CONTINUE);
        mayContinue = false;
      },
      respond: async (response, responseBody) => {
        // A client that still waits for 100 must not be followed by a guess whether its body comes (RFC 9110 §10.1.1).
        if (mayContinue) this.#over = true;
        mayContinue = false;
        return this.#respond(head, response, responseBody);
      },
    };
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

  async #nextMessage(): Promise<{ head: RequestHead; body: Body } | null> {
    try {
      return await within(this.#reader.next(), this.#limits.idleTimeoutMs);
    } catch (error) {
      this.#over = true;
      // Idle is no failure: nobody asked anything.
      if (error instanceof EgressError && error.code === 'request_timeout' && this.#reader.isIdle) return null;
      throw error;
    }
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

  async #respond(request: RequestHead, response: ResponseHead, body: Body): Promise<number> {
    if (!request.keepAlive || this.#draining) this.#over = true;
    const bytes = await this.#write(request.version, response, body);
    if (!this.#over && !(await this.#discardBody(MAX_DRAIN_BYTES))) this.#over = true;
    if (this.#over) await this.#linger();
    return bytes;
  }

  /** Whether the request's body is over, what was left of it dropped. */
  async #discardBody(limitBytes: number): Promise<boolean> {
    try {
      return await within(this.#reader.drain(limitBytes), this.#limits.idleTimeoutMs);
    } catch {
      return false;
    }
  }

  /** Ends our side and lets the client read the answer before its unread bytes would make the kernel reset the connection. */
  async #linger(): Promise<void> {
    this.#stream.end();
    await within(this.#reader.drain(MAX_LINGER_BYTES), LINGER_MS).catch(() => false);
    this.close();
  }

  async #write(version: '1.0' | '1.1', response: ResponseHead, body: Body): Promise<number> {
    const framing = framingFor(version, response.framing);
    if (framing.kind === 'close') this.#over = true;
    const headers = response.headers.copy();
    if (this.#over) headers.set('Connection', 'close');
    const head = serializeResponseHead({ ...response, version: '1.1', headers, framing });
    try {
      return await writeMessage(this.#stream, head, framing, body, { signal: this.#gone.signal });
    } catch (error) {
      // A response that broke must not look complete: no terminator, no orderly end.
      this.#over = true;
      this.#stream.destroy();
      throw error;
    }
  }
}

/** The requests of a connection that needs no TLS of ours; its first one has been read already. */
export function forwardRequests(open: OpenTunnel, limits: RequestLimits): TunnelRequests {
  return new TunnelRequests(open.tunnel, open.tunnel.connection.socket, open.reader, limits);
}

/** The requests inside a tunnel whose TLS is terminated. */
export function secureRequests(tunnel: Tunnel, secure: Duplex, limits: RequestLimits): TunnelRequests {
  const parser = createRequestParser({ limits: REQUEST_LIMITS, defaultScheme: 'https' });
  return new TunnelRequests(
    tunnel,
    secure,
    new MessageReader<RequestHead>(secure, parser, { closed: 'downstream_aborted' }),
    limits,
  );
}

/** HTTP/1.0 knows no chunks; towards 1.1 a close-delimited upstream body becomes chunked, so its end is certain. */
function framingFor(version: '1.0' | '1.1', framing: Framing): Framing {
  if (version === '1.0' && framing.kind === 'chunked') return { kind: 'close' };
  if (version === '1.1' && framing.kind === 'close') return { kind: 'chunked' };
  return framing;
}
