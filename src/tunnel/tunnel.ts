import type { Authority } from '../core/authority.ts';
import type { EgressError } from '../core/errors.ts';
import type { Body, RequestHead, ResponseHead, Upgraded } from '../core/message.ts';
import type { Connection } from '../listener/connection.ts';

/** Hop 2: where a connection asks to go, before anything was answered. */
export interface Tunnel {
  readonly connection: Connection;
  /**
   * `connect`: CONNECT, then TLS that we terminate. `forward`: absolute-form requests for plain http. `gateway`: requests to us,
   * which a Service's name in the path sends on by https.
   */
  readonly kind: 'connect' | 'forward' | 'gateway';
  readonly authority: Authority;
  /** Credentials of the Proxy-Authorization field as sent, or made of a gateway's key; null where there were none. */
  readonly proxyAuthorization: string | null;
  /** Present where the kind is `gateway`. */
  readonly gateway?: GatewayCall;
}

/** What a gateway was asked. */
export interface GatewayCall {
  /** As it was sent. */
  readonly head: RequestHead;
  /** What the client has to put before a path of the Service: `http://127.0.0.1:10082/openai-api`. */
  readonly base: string;
  /** Of the Service, with its first slash. */
  readonly path: string;
  /** Why it can be sent nowhere, to be told when it is known who asks; `authority` is the gateway's own then. */
  readonly fault: EgressError | null;
  /** Why nobody can be known by it, whatever else the connection proves. */
  readonly unidentified: EgressError | null;
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

/** A connection to a gateway, its first request read; `requests` hands it out. */
export interface OpenGateway {
  /** Of the first request. */
  readonly tunnel: Tunnel;
  readonly requests: Requests;
}

/** A request that could not be one, on a tunnel that goes on for others. */
export interface RefusedRequest {
  readonly refusal: EgressError;
  /** Null where it has been told already. Never rejects. */
  readonly respond: ((head: ResponseHead, body: Body) => Promise<void>) | null;
  /** Where each request brings its own identity, that of this one. */
  readonly tunnel?: Tunnel;
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
  /** Of a gateway: the same with these in place of the keys that hold its token. */
  as?(standIns: StandIns): DownstreamRequest;
}

/** What a workload holds in place of credentials, without the token of its instance. */
export interface StandIns {
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
}
