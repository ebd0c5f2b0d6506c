import type { SecretField, SecretText } from '../core/headers.ts';
import type { Body, RequestHead, ResponseHead } from '../core/message.ts';
import type { Credential } from '../credential/credential.ts';
import type { Permit } from '../policy/permit.ts';

/** The credential is the connection's, and not in the request. */
export interface ClientCertificate {
  /** The live buffers, PEM: not to be kept or changed. @throws EgressError `secret_destroyed`. */
  pem(): { readonly cert: Buffer; readonly key: Buffer };
}

/** Hop 6: exactly what will be sent, the credential in its slot. */
export interface AuthorizedRequest {
  readonly permit: Permit;
  /** Null: nothing was injected. */
  readonly credential: Credential | null;
  /** Hop-by-hop fields, placeholders and other credential slots are gone; `host` is the permit's authority. */
  readonly head: RequestHead;
  /** Go behind the head's own fields. */
  readonly secretFields: readonly SecretField[];
  /** Written in place of the head's own target, which has no secret in it. */
  readonly secretTarget?: SecretText;
  readonly body: Body;
  /** The secret stands in the body: its bytes are zeroed when they are out. */
  readonly hasSecretBody?: true;
  /** What the connection must be opened with. */
  readonly clientCertificate?: ClientCertificate;
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
