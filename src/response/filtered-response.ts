import type { Body, ResponseHead, Upgraded } from '../core/message.ts';

/** Hop 8: what the workload may see. */
export interface FilteredResponse {
  readonly head: ResponseHead;
  readonly body: Body;
  /** Secrets taken out so far; final when the body has ended. */
  readonly scrubbed: () => number;
  /** Of a WebSocket: its other direction. */
  readonly upgraded?: Upgraded;
}
