/**
 * Duty: the requests on a connection of HTTP/2, beside each other.
 * In → Out: stream inside TLS → DownstreamRequest, again and again until the connection ends.
 * Holds: the authority of every request equals the tunnel's, but at a gateway; a stream keeps its place until its exchange is over, so that one
 *   which is thrown away at once makes no room for the next; what was asked before a drain is told to the client is answered.
 * Fails: of a single request, which is refused alone: `authority_mismatch` (421), what the codec says; of the connection:
 *   `request_malformed`, `request_timeout`.
 * Source: RFC 9113 §5.1.2, §6.8, §9.1.2 (421).
 * Not here: frames (http2/), one request (http2-request.ts), time (http2-pace.ts).
 */
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Body, Framing, RequestHead, ResponseHead } from '../core/message.ts';
import { REQUEST_LIMITS } from '../http1/message-parser.ts';
import { StreamFault } from '../http2/faults.ts';
import { DEFAULT_TABLE_BYTES, type Decoded } from '../http2/hpack-decoder.ts';
import { Http2Machine } from '../http2/machine.ts';
import type { MachineFaults } from '../http2/machine-options.ts';
import { readRequestHead } from '../http2/request-head.ts';
import { outgoingResponse } from '../http2/response-head.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { WireLink } from '../http2/wire-link.ts';
import { abort } from './abort.ts';
import { H2 } from './alpn.ts';
import { Http2Pace } from './http2-pace.ts';
import { Http2Request } from './http2-request.ts';
import { closedOr } from './refuse.ts';
import { type RequestParts, secureRequests } from './requests.ts';
import type { DownstreamRequest, RefusedRequest, Requests, Tunnel } from './tunnel.ts';

const FAULTS: MachineFaults = Object.freeze({
  malformed: 'request_malformed',
  trailersTooLarge: 'request_head_too_large',
  gone: 'downstream_aborted',
  cut: 'downstream_aborted',
});
const MAX_STREAMS = 100;
/** Of what one stream sends before somebody reads it. */
const WINDOW_BYTES = 65_535;
const LINGER_MS = 1_000;
/** For the client to hear that it shall ask no more. */
const DRAIN_MS = 1_000;
const PING = Buffer.from('drained?', 'latin1');

type Asked = DownstreamRequest | RefusedRequest;

interface Waiter {
  resolve(request: Asked | null): void;
  reject(error: EgressError): void;
}

export class Http2Requests implements Requests {
  readonly isMultiplexed = true;
  readonly tunnel: Tunnel;
  readonly #stream: Duplex;
  readonly #parts: RequestParts;
  readonly #scheme: 'http' | 'https';
  readonly #machine: Http2Machine;
  readonly #link: WireLink;
  readonly #pace: Http2Pace;
  readonly #maxStreams: number;
  readonly #running = new Set<Http2Request>();
  readonly #queue: Asked[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #waiter: Waiter | null = null;
  /** No request is taken any more; `closing`: the client has heard it. */
  #phase: 'open' | 'draining' | 'closing' | 'closed' = 'open';

  constructor(tunnel: Tunnel, stream: Duplex, parts: RequestParts, scheme: 'http' | 'https' = 'https') {
    const { limits, deadlines } = parts;
    this.tunnel = tunnel;
    this.#scheme = scheme;
    this.#stream = stream;
    this.#parts = parts;
    this.#maxStreams = Math.min(MAX_STREAMS, limits.maxConcurrentPerWorkload ?? MAX_STREAMS);
    this.#machine = new Http2Machine(
      {
        role: 'server',
        clock: { monotonicMs: () => deadlines.in(0) },
        limits: limits.requestHead ?? REQUEST_LIMITS,
        faults: FAULTS,
        tableBytes: DEFAULT_TABLE_BYTES,
        maxStreams: this.#maxStreams,
        windowBytes: WINDOW_BYTES,
      },
      {
        opened: (opened, decoded, endsStream) => this.#opened(opened, decoded, endsStream),
        closed: () => this.#maybeClose(),
        goingAway: () => this.#retire(),
        ponged: () => this.#retire(),
        ready: () => {},
        failed: (error) => this.#failed(error),
        wake: () => this.#link.wake(),
      },
    );
    this.#link = new WireLink(stream, this.#machine, 'downstream_aborted');
    this.#link.wake();
    this.#pace = new Http2Pace(limits, deadlines, this.#watch());
    this.#timers.push(setTimeout(() => this.drain(), limits.tunnelLifetimeMs).unref());
    stream.once('close', () => this.#ended());
  }

  async next(): Promise<Asked | null> {
    const here = this.#queue.shift();
    if (here !== undefined) return here;
    const { failure } = this.#machine;
    if (failure !== null) return this.#ending(failure);
    if (this.#phase === 'closed') return null;
    this.#maybeClose();
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** Nothing can be said outside of a stream but what GOAWAY says, which is on its way. */
  async answer(): Promise<void> {
    await this.#finish();
  }

  drain(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'draining';
    this.#machine.goAway(false);
    // What comes behind its answer was asked by one who has heard of the drain.
    this.#machine.outgoing.ping(PING);
    this.#timers.push(setTimeout(() => this.#retire(), DRAIN_MS).unref());
  }

  cut(): void {
    this.#phase = 'closed';
    abort(this.tunnel.connection);
    this.#stream.destroy();
  }

  #watch(): ConstructorParameters<typeof Http2Pace>[2] {
    return {
      machine: this.#machine,
      running: this.#running,
      bytesWritten: () => (this.#stream as Duplex & { readonly bytesWritten: number }).bytesWritten,
      isWriting: () => this.#link.isWriting,
      idle: () => {
        this.drain();
        this.#retire();
      },
      giveUp: (error) => {
        this.#machine.fail(error);
        this.#stream.destroy();
      },
    };
  }

  /** @throws StreamFault */
  #opened(stream: Http2Stream, decoded: Decoded, endsStream: boolean): void {
    if (this.#running.size >= this.#maxStreams)
      throw new StreamFault(stream.id, 'REFUSED_STREAM', 'more streams than the limit');
    const asked = this.#read(stream, decoded, endsStream);
    if ('refusal' in asked) this.#refused(stream, asked.refusal);
    else this.#accept(stream, asked);
  }

  #accept(stream: Http2Stream, head: RequestHead): void {
    const request = new Http2Request(this.tunnel, head, stream, this.#machine, (settled) => this.#settled(settled));
    stream.body.length = lengthOf(head.framing);
    this.#running.add(request);
    this.#hand(request);
  }

  /** @throws StreamFault, which is on record then. */
  #read(
    stream: Http2Stream,
    { fields, isTooLarge }: Decoded,
    endsStream: boolean,
  ): RequestHead | { readonly refusal: EgressError } {
    if (isTooLarge)
      return { refusal: new EgressError('request_head_too_large', { detail: 'the head is larger than the limit' }) };
    try {
      const limits = this.#parts.limits.requestHead ?? REQUEST_LIMITS;
      const head = readRequestHead(stream.id, fields, endsStream, limits.maxTargetBytes, this.#scheme);
      const { kind, authority } = this.tunnel;
      if ('refusal' in head || kind === 'gateway' || head.authority?.text === authority.text) return head;
      return { refusal: new EgressError('authority_mismatch', { detail: ':authority is not the CONNECT target' }) };
    } catch (thrown) {
      if (thrown instanceof StreamFault) {
        const refusal = new EgressError('request_malformed', { detail: `HTTP/2: ${thrown.detail}` });
        this.#hand({ refusal, respond: null });
      }
      throw thrown;
    }
  }

  /** @throws ConnectionFault where there are too many. */
  #refused(stream: Http2Stream, refusal: EgressError): void {
    this.#machine.countReset();
    this.#hand({ refusal, respond: (head: ResponseHead, body: Body) => this.#tell(stream, head, body) });
  }

  /** Never rejects. */
  async #tell(stream: Http2Stream, head: ResponseHead, body: Body): Promise<void> {
    try {
      if (stream.isLocalEnded || this.#machine.streams.get(stream.id) !== stream) return;
      const { outgoing } = this.#machine;
      outgoing.head(stream, outgoingResponse(head), body.isOver);
      if (!body.isOver) await outgoing.body(stream, body, body.length);
    } catch (thrown) {
      this.#machine.reset(stream, 'INTERNAL_ERROR', toEgressError(thrown));
    }
  }

  #hand(asked: Asked): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) this.#queue.push(asked);
    else waiter.resolve(asked);
  }

  #settled(request: Http2Request): void {
    this.#running.delete(request);
    this.#maybeClose();
  }

  /** The client has heard of the drain, or goes itself. */
  #retire(): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return;
    this.#phase = 'closing';
    this.#machine.goAway(true);
    this.#maybeClose();
  }

  #maybeClose(): void {
    const isOver = this.#running.size === 0 && this.#machine.streams.size === 0 && this.#queue.length === 0;
    if (this.#phase !== 'closing' || !isOver) return;
    this.#phase = 'closed';
    void this.#finish().then(() => {
      this.#waiter?.resolve(null);
      this.#waiter = null;
    });
  }

  /** What was said last gets out, for a moment. */
  async #finish(): Promise<void> {
    await Promise.race([this.#link.flushed(), closedOr(this.#stream, LINGER_MS)]);
    this.#stream.end();
    await closedOr(this.#stream, LINGER_MS);
    this.#stream.destroy();
  }

  #failed(error: EgressError): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) return;
    try {
      waiter.resolve(this.#ending(error));
    } catch (thrown) {
      waiter.reject(toEgressError(thrown));
    }
  }

  /** Whoever goes has asked nothing more. @throws EgressError */
  #ending(error: EgressError): null {
    if (error.code === 'downstream_aborted' || this.#phase === 'closed') return null;
    throw error;
  }

  #ended(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#pace.end();
    this.#machine.fail(new EgressError('downstream_aborted'));
  }
}

function lengthOf(framing: Framing): number | null {
  if (framing.kind === 'length') return framing.length;
  return framing.kind === 'none' ? 0 : null;
}

/** The requests inside a tunnel whose TLS is terminated, in the version that both sides agreed on. */
export function requestsInside(tunnel: Tunnel, secure: TLSSocket, parts: RequestParts): Requests {
  return secure.alpnProtocol === H2 ? new Http2Requests(tunnel, secure, parts) : secureRequests(tunnel, secure, parts);
}
