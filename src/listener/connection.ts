import type { Socket } from 'node:net';

/** Hop 1: a connection that was accepted within the limits. The spine owns the socket from here on. */
export interface Connection {
  /** Unique in this process's life. */
  readonly id: string;
  readonly socket: Socket;
  /** How the traffic got here. */
  readonly way: 'explicit';
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Epoch `ms`. */
  readonly acceptedAt: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}
