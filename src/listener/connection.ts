import type { Socket } from 'node:net';
import type { SpiffeId } from '../core/spiffe-id.ts';

/** Hop 1: a connection that was accepted within the limits. The spine owns the socket from here on. */
export interface Connection {
  /** Unique in this process's life. */
  readonly id: string;
  readonly socket: Socket;
  /** How the traffic got here. */
  readonly way: 'explicit' | 'unix' | 'gateway' | 'redirected';
  /** What the client dialled, where it was redirected here and that is known. */
  readonly original?: Endpoint;
  /** Proxy-Authorization of who relays a redirected connection, as sent. */
  readonly credentials?: string;
  /** Of a unix connection both ends are `unix`, port 0. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Proven by the certificate of a TLS handshake with the listener; absent where there was none. */
  readonly svid?: SpiffeId;
  /** When that certificate ends, epoch `ms`. */
  readonly svidEndsAt?: number;
  /** Epoch `ms`. */
  readonly acceptedAt: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}
