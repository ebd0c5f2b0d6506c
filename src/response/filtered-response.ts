import type { Body, ResponseHead } from '../core/message.ts';

/** Hop 8: what the workload may see. */
export interface FilteredResponse {
  readonly head: ResponseHead;
  readonly body: Body;
  /** Secrets taken out so far; final when the body has ended. */
  readonly scrubbed: () => number;
}
