import type { HeadLimits } from '../http1/message-parser.ts';

/** Options of hop 1, and the limits of everything that a workload does to us. No limit can be switched off. */
export interface LimitsOptions {
  /** From the accepted connection to the end of its first request head. */
  readonly headDeadlineMs: number;
  readonly tlsHandshakeTimeoutMs: number;
  /** From the first byte of a later request head to its last. */
  readonly requestHeadTimeoutMs: number;
  /** From a request's head to the last byte of its body. */
  readonly requestTimeoutMs: number;
  /** A body that comes slower is cut once `bodyRateGraceMs` are over. */
  readonly minBodyBytesPerSecond: number;
  readonly bodyRateGraceMs: number;
  /** From the end of one response to the next request head of the same tunnel; and how long an answer may go unread. */
  readonly idleTimeoutMs: number;
  /** How long an answer may take for a workload that has closed its own side. */
  readonly halfOpenTimeoutMs: number;
  /** No new request is taken on a tunnel after this. */
  readonly tunnelLifetimeMs: number;
  /** A WebSocket is closed after this. */
  readonly webSocketLifetimeMs: number;
  /** A WebSocket on which nothing moves in either direction. */
  readonly webSocketIdleTimeoutMs: number;
  /** How long the requests under way have at shutdown. */
  readonly drainTimeoutMs: number;
  /** Of all workloads together. */
  readonly maxConnections: number;
  readonly maxConnectionsPerWorkload: number;
  readonly maxConcurrentPerWorkload: number;
  /** Live leases; a workload that needs more waits for none and is refused. */
  readonly maxLeasesPerWorkload: number;
  /** Live leases of all workloads together. */
  readonly maxLeasesPerSource: number;
  /** Of a request body that must be seen whole before it can be sent. */
  readonly maxBufferedBodyBytes: number;
  /** Of a chunk or event that is signed for itself: it is held until its signature has been verified. */
  readonly maxSignedChunkBytes: number;
  readonly requestHead: HeadLimits;
}

/** A listener on a unix socket. */
export interface UnixListenOptions {
  readonly path: string;
  /** Permission bits of the socket. */
  readonly mode: number;
  /** Name or number as text; null: the proxy's own. */
  readonly group: string | null;
}
