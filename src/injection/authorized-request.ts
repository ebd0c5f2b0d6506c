import type { SecretField } from '../core/headers.ts';
import type { Body, RequestHead, ResponseHead } from '../core/message.ts';
import type { Credential } from '../credential/credential.ts';
import type { Permit } from '../policy/permit.ts';

/** Hop 6: exactly what will be sent, the credential in its slot. */
export interface AuthorizedRequest {
  readonly permit: Permit;
  /** Null: nothing was injected. */
  readonly credential: Credential | null;
  /** Hop-by-hop fields, placeholders and other credential slots are gone; `host` is the permit's authority. */
  readonly head: RequestHead;
  /** Go behind the head's own fields. */
  readonly secretFields: readonly SecretField[];
  readonly body: Body;
  /** Byte patterns of the injected secret, raw and in common encodings, that no response may carry. */
  readonly needles: readonly Buffer[];
  /** What was done, for audit: `none`, `bearer`, `header x-api-key`, `sigv4 s3/us-east-1 unsigned-payload`. */
  readonly injected: string;
  /** The answer is a credential: this puts placeholders in its place. Absent: it is passed on. @throws EgressError */
  swapAnswer?(answer: SwappedAnswer): Promise<SwappedAnswer>;
}

export interface SwappedAnswer {
  readonly head: ResponseHead;
  readonly body: Body;
}
