/**
 * Duty: a chain of signatures, in which each one covers the one before: of chunks, a trailer, or events.
 * In → Out: seed signature, hashes of the next link → its string to sign, signed or verified.
 * Holds: a link that does not verify does not move the chain; a real key that has ended signs no further link.
 * Fails: `secret_destroyed`.
 * Source: S3 API, sigv4-streaming, sigv4-streaming-trailers; Smithy, "Amazon Event Stream", signed messages.
 */
import { algorithmOf, type Scope, scopeText } from './scope-text.ts';
import type { KeyPair, SigningKeys } from './signing-keys.ts';

/** The moment of a signature. Scope and time have one date. */
export interface SignedAt {
  /** `20150830T123600Z` */
  readonly amzDate: string;
  readonly scope: Scope;
}

export interface Seed extends SignedAt {
  readonly signature: string;
}

/** What a link is of. Events are links of the first kind. */
export type LinkKind = 'PAYLOAD' | 'TRAILER';

export class Chain {
  readonly #keys: SigningKeys;
  readonly #pair: KeyPair;
  readonly seed: Seed;
  #previous: string;

  constructor(keys: SigningKeys, pair: KeyPair, seed: Seed) {
    this.#keys = keys;
    this.#pair = pair;
    this.seed = seed;
    this.#previous = seed.signature;
  }

  /** `hashes`: the last lines of the string to sign. @throws EgressError `secret_destroyed`. */
  sign(kind: LinkKind, hashes: string, at: SignedAt = this.seed): string {
    this.#previous = this.#keys.sign(this.#pair, at.scope, this.#text(kind, hashes, at));
    return this.#previous;
  }

  /** Moves on where it is right. @throws EgressError `secret_destroyed`. */
  verify(kind: LinkKind, hashes: string, signature: string, at: SignedAt = this.seed): boolean {
    const isRight = this.#keys.verify(this.#pair, at.scope, this.#text(kind, hashes, at), signature);
    if (isRight) this.#previous = signature;
    return isRight;
  }

  #text(kind: LinkKind, hashes: string, { amzDate, scope }: SignedAt): string {
    return `${algorithmOf(scope)}-${kind}\n${amzDate}\n${scopeText(scope)}\n${this.#previous}\n${hashes}`;
  }
}
