import type { Authority } from '../core/authority.ts';
import type { EgressError } from '../core/errors.ts';
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

/** What is asked on a tunnel, whichever version it speaks. */
export interface Requests {
  readonly tunnel: Tunnel;
  /** Requests are served beside each other; otherwise one after the other. */
  readonly isMultiplexed: boolean;
  /** Null when the tunnel has ended in order. @throws EgressError; the tunnel is then over, and `answer` may still speak. */
  next(): Promise<DownstreamRequest | RefusedRequest | null>;
  /** Answers outside of any request where the version can, then the tunnel is over. */
  answer(head: ResponseHead, body: Body): Promise<void>;
  /** What is under way is the last. Closes at once where nothing is. */
  drain(): void;
  /** Ends now; an answer that is under way must not look complete. */
  cut(): void;
}

/** A request that could not be one, on a tunnel that goes on for others. */
export interface RefusedRequest {
  readonly refusal: EgressError;
  /** Null where it has been told already. Never rejects. */
  readonly respond: ((head: ResponseHead, body: Body) => Promise<void>) | null;
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
  /** The exchange is over; of a multiplexed tunnel. What was not answered ends here. */
  settle?(): void;
}
