import type { Body, ResponseHead, Upgraded } from '../core/message.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';

/** Hop 7: the final response head, its body still on the way. */
export interface UpstreamResponse {
  readonly request: AuthorizedRequest;
  readonly head: ResponseHead;
  readonly body: Body;
  /** Address that was dialled, for audit. */
  readonly address: string;
  readonly reusedConnection: boolean;
  /** Of a WebSocket: its other direction; `body` holds the frames that come. */
  readonly upgraded?: Upgraded;
}

/** Hop 7 as the spine uses it. */
export interface UpstreamStage {
  /**
   * Sends the request once. Resolves at the final response head.
   * @throws EgressError of the upstream section of core/errors.ts; aborts everything when `signal` does.
   */
  send(request: AuthorizedRequest, signal: AbortSignal): Promise<UpstreamResponse>;
  /** Closes the idle connections of one credential, or all. */
  forget(credentialKey: string): void;
  close(): void;
}
