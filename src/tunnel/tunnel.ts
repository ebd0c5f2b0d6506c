import type { Authority } from '../core/authority.ts';
import type { Body, RequestHead, ResponseHead, Upgraded } from '../core/message.ts';
import type { Connection } from '../listener/connection.ts';

/** Hop 2: where a connection asks to go, before anything was answered. */
export interface Tunnel {
  readonly connection: Connection;
  /** `connect`: CONNECT, then TLS that we terminate. `forward`: absolute-form requests for plain http. */
  readonly kind: 'connect' | 'forward';
  readonly authority: Authority;
  /** Credentials of the Proxy-Authorization field as sent; null where there were none. */
  readonly proxyAuthorization: string | null;
}

/** One request on a tunnel, its head strictly parsed, its body not read yet. */
export interface DownstreamRequest {
  readonly tunnel: Tunnel;
  readonly head: RequestHead;
  readonly body: Body;
  /** Aborts when the workload goes away, the tunnel reaches its end or the drain its deadline. */
  readonly signal: AbortSignal;
  /** Sends `100 Continue` where the request asked for it and it was not sent yet; a first read of `body` does the same. */
  continue(): void;
  /**
   * Sends the final response and resolves with the number of body bytes when the last is handed to the socket.
   * Rejects with `downstream_aborted` where the workload went away, or with the body's own error after destroying the connection.
   * With `upgraded` it relays in both directions until one of them ends, and fills in the tally.
   */
  respond(head: ResponseHead, body: Body, upgraded?: Upgraded): Promise<number>;
}
