/**
 * Duty: how far the clock of a host is from ours, where it refused a signature for its time.
 * In → Out: host, its Date → whether later signatures will have another time; host → `ms` to add.
 * Holds: nothing is believed beyond a day, nor what makes no difference to a signature; hosts that are remembered have a bound.
 * Source: AWS General Reference, "Date stamping": 5 to 15 minutes; RFC 9110 §5.6.7 (Date).
 * Not here: whether the answer was such a refusal (response/expiry.ts), and what follows (replay.ts).
 */

const MAX_HOSTS = 256;
const MAX_SKEW_MS = 24 * 3_600_000;
/** Below this no service refuses a signature. */
const MIN_CHANGE_MS = 4 * 60_000;
const IMF_DATE = /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/;

export class ClockSkew {
  readonly #byHost = new Map<string, number>();

  /** `ms` to add to our time. */
  at(host: string): number {
    return this.#byHost.size === 0 ? 0 : (this.#byHost.get(host) ?? 0);
  }

  /** True where the next signature for the host will have a time that the last one had not. */
  learn(host: string, date: string | undefined, nowMs: number): boolean {
    const theirs = date !== undefined && IMF_DATE.test(date) ? Date.parse(date) : Number.NaN;
    const skew = theirs - nowMs;
    if (!(Math.abs(skew) <= MAX_SKEW_MS) || Math.abs(skew - this.at(host)) < MIN_CHANGE_MS) return false;
    this.#byHost.delete(host);
    const [oldest] = this.#byHost.keys();
    if (this.#byHost.size >= MAX_HOSTS && oldest !== undefined) this.#byHost.delete(oldest);
    this.#byHost.set(host, skew);
    return true;
  }
}
