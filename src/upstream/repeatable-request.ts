/**
 * Duty: a request that goes out again where the destination says that it has done nothing.
 * Holds: its body is kept up to a limit, until it is settled; of a larger one there is no second time.
 * Source: RFC 9113 §8.7.
 * Not here: whether it may (http2-outbound.ts); a second time with another credential (replay.ts).
 */
import { RepeatableBody } from '../core/repeatable-body.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';

const MAX_KEPT_BYTES = 64 * 1024;

export class RepeatableRequest {
  readonly #request: AuthorizedRequest;
  readonly #body: RepeatableBody | null;
  #wasSent = false;

  constructor(request: AuthorizedRequest) {
    this.#request = request;
    this.#body = request.body.isOver ? null : new RepeatableBody(request.body, MAX_KEPT_BYTES);
  }

  get isKept(): boolean {
    return this.#body?.isKept ?? this.#request.body.isOver;
  }

  /** From its beginning. To be asked again only where `isKept`. */
  next(): AuthorizedRequest {
    if (this.#body === null) return this.#request;
    const body = this.#wasSent ? this.#body.again() : this.#body;
    this.#wasSent = true;
    return { ...this.#request, body };
  }

  /** Nobody sends it again. Idempotent. */
  settle(): void {
    this.#body?.settle();
  }
}
