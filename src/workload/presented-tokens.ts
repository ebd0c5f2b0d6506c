/**
 * Duty: the tokens by which workloads identified themselves, for sources that pass them on.
 * In → Out: a verified token and its end → a `Secret`, the same one for every connection that shows that token.
 * Holds: bytes, zeroed when the token ends; one copy for each token, however many connections show it.
 * Not here: who verified it (tokens/), who passes it on (credential/).
 */
import { hash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { Secret } from '../core/secret.ts';

/** Timers of more than 2^31-1 ms fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class PresentedTokens {
  readonly #clock: Clock;
  /** By the hash of the token. */
  readonly #held = new Map<string, Secret>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `endsAt`: epoch `ms`. */
  hold(token: string, endsAt: number): Secret {
    const key = hash('sha256', token, 'base64');
    const known = this.#held.get(key);
    if (known !== undefined) return known;
    const bytes = Buffer.from(token, 'latin1');
    const secret = Secret.copyOf(bytes);
    bytes.fill(0);
    this.#held.set(key, secret);
    this.#clock.schedule(Math.min(Math.max(endsAt - this.#clock.now(), 0), MAX_TIMER_MS), () => {
      this.#held.delete(key);
      secret.destroy();
    });
    return secret;
  }
}
