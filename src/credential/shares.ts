/**
 * Duty: how many leases each holder has.
 * Fails: `credential_unavailable` at the limit; nobody waits for a place.
 */
import { EgressError } from '../core/errors.ts';

export class Shares {
  readonly #counts = new Map<string, number>();

  /** One more; returns how to give it back. @throws EgressError `credential_unavailable`. */
  take(holder: string, max: number, what: string): () => void {
    const count = this.#counts.get(holder) ?? 0;
    if (count >= max)
      throw new EgressError('credential_unavailable', {
        detail: `the ${what} has as many leases as it may`,
        retryAfterMs: 1000,
      });
    this.#counts.set(holder, count + 1);
    return () => {
      const left = (this.#counts.get(holder) ?? 1) - 1;
      if (left > 0) this.#counts.set(holder, left);
      else this.#counts.delete(holder);
    };
  }
}
