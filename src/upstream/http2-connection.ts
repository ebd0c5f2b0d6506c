/**
 * Duty: one connection to an upstream that speaks HTTP/2, shared by the exchanges of one pool key.
 * In → Out: open socket → streams; whether it can carry another.
 * Holds: idle it keeps no process alive and goes after its time; what it may not carry any more it finishes first.
 * Source: RFC 9113 §5.1.2, §6.8, §9.1.
 * Not here: who may use it (http2-pool.ts); one exchange (http2-outbound.ts).
 */
import type { Socket } from 'node:net';
import type { Deadlines, Watched } from '../core/deadlines.ts';
import type { EgressError } from '../core/errors.ts';
import { RESPONSE_LIMITS } from '../http1/message-parser.ts';
import { Http2Machine } from '../http2/machine.ts';
import type { MachineFaults } from '../http2/machine-options.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { WireLink } from '../http2/wire-link.ts';
import { connectionError, type Dialled } from './dial.ts';
import type { PoolKey } from './upstream-connection.ts';

export interface Http2ConnectionOptions {
  readonly maxHeadBytes: number;
  readonly maxRequests: number;
}

const FAULTS: MachineFaults = Object.freeze({
  malformed: 'http_protocol_error',
  trailersTooLarge: 'http_response_trailer_section_size',
  gone: 'connection_terminated',
  cut: 'http_response_incomplete',
});
/** A response may come from far away, where a window is so much for each round trip. */
const WINDOW_BYTES = 512 * 1024;
/** Responses may hold an echo of the key: what is remembered of them were a copy that nobody zeroes. */
const TABLE_BYTES = 0;
const LINGER_MS = 1_000;
const MAX_IDLE_MS = 30_000;
/** The peer may be closing just now, and such a request cannot be sent twice. */
const MAX_IDLE_NON_IDEMPOTENT_MS = 4_000;

export class Http2Connection implements Watched {
  /** When an idle one goes. */
  deadline = Number.POSITIVE_INFINITY;
  readonly key: PoolKey;
  readonly address: string;
  readonly socket: Socket;
  readonly machine: Http2Machine;
  /** Exchanges begun. */
  served = 0;
  /** Why it broke; null where it did not, or the peer just closed. */
  failure: EgressError | null = null;
  readonly #link: WireLink;
  readonly #deadlines: Deadlines;
  readonly #maxRequests: number;
  readonly #onGone: (connection: Http2Connection) => void;
  #isRetired = false;
  #idleSince: number;

  /** `onGone`: called once when the connection is of no more use. */
  constructor(
    key: PoolKey,
    dialled: Dialled,
    options: Http2ConnectionOptions,
    deadlines: Deadlines,
    onGone: (connection: Http2Connection) => void,
  ) {
    this.key = key;
    this.address = dialled.address;
    this.socket = dialled.socket;
    this.#deadlines = deadlines;
    this.#maxRequests = options.maxRequests;
    this.#onGone = onGone;
    this.#idleSince = deadlines.in(0);
    this.socket.on('error', (error) => {
      this.failure ??= connectionError(error, dialled.socket);
    });
    this.machine = new Http2Machine(
      {
        role: 'client',
        clock: { monotonicMs: () => deadlines.in(0) },
        limits: { ...RESPONSE_LIMITS, maxHeadBytes: options.maxHeadBytes },
        faults: FAULTS,
        tableBytes: TABLE_BYTES,
        maxStreams: 0,
        windowBytes: WINDOW_BYTES,
      },
      {
        opened: () => {},
        closed: () => this.#rests(),
        goingAway: () => this.retire(),
        ponged: () => {},
        ready: () => {},
        failed: () => this.#gone(),
        wake: () => this.#link.wake(),
      },
    );
    this.#link = new WireLink(this.socket, this.machine, 'connection_terminated');
    this.#link.wake();
    this.socket.unref();
  }

  get isIdle(): boolean {
    return this.machine.streams.size === 0;
  }

  /** `isIdempotent`: a repetition does no harm, so it may have been idle for longer. */
  canCarry(isIdempotent: boolean): boolean {
    const limitMs = isIdempotent ? MAX_IDLE_MS : MAX_IDLE_NON_IDEMPOTENT_MS;
    const isFresh = !this.isIdle || this.#deadlines.in(0) - this.#idleSince < limitMs;
    const { socket } = this;
    return isFresh && !this.#isRetired && this.machine.hasRoom && socket.writable && !socket.destroyed;
  }

  /** To be asked where `canCarry`. */
  open(): Http2Stream {
    this.served += 1;
    if (this.served >= this.#maxRequests) this.#isRetired = true;
    this.socket.ref();
    this.#deadlines.unwatch(this);
    return this.machine.open();
  }

  /** Carries no other exchange; closes when those under way are over. */
  retire(): void {
    this.#isRetired = true;
    if (this.isIdle) this.#close();
  }

  expire(): void {
    this.retire();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #rests(): void {
    if (!this.isIdle || this.machine.failure !== null) return;
    this.#idleSince = this.#deadlines.in(0);
    if (this.#isRetired) {
      this.#close();
      return;
    }
    this.socket.unref();
    this.deadline = this.#idleSince + MAX_IDLE_MS;
    this.#deadlines.watch(this);
  }

  #close(): void {
    this.machine.goAway(true);
    this.#destroySoon();
  }

  /** When what was said last is out, or nobody takes it. */
  #destroySoon(): void {
    const timer = setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    void this.#link.flushed().then(() => {
      clearTimeout(timer);
      this.socket.destroy();
    });
  }

  #gone(): void {
    this.#deadlines.unwatch(this);
    this.#onGone(this);
    // A fault of the peer is told before the end.
    this.#destroySoon();
  }
}
