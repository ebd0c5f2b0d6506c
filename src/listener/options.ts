import type { HeadLimits } from '../http1/message-parser.ts';

/** Options of hop 1, and the limits of everything that a workload does to us. No limit can be switched off. */
export interface LimitsOptions {
  /** From the accepted connection to the end of its first request head. */
  readonly headDeadlineMs: number;
  readonly tlsHandshakeTimeoutMs: number;
  /** From a request's first byte to its last. */
  readonly requestTimeoutMs: number;
  /** From the end of one response to the next request head of the same tunnel. */
  readonly idleTimeoutMs: number;
  /** No new request is taken on a tunnel after this. */
  readonly tunnelLifetimeMs: number;
  /** How long the requests under way have at shutdown. */
  readonly drainTimeoutMs: number;
  /** Of all workloads together. */
  readonly maxConnections: number;
  readonly maxConnectionsPerWorkload: number;
  readonly maxConcurrentPerWorkload: number;
  /** Live leases; a workload that needs more waits for none and is refused. */
  readonly maxLeasesPerWorkload: number;
  /** Of a request body that must be seen whole before it can be sent. */
  readonly maxBufferedBodyBytes: number;
  readonly requestHead: HeadLimits;
}
