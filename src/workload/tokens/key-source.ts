/**
 * Duty: keeps the keys of one issuer as its issuer changes them.
 * In → Out: a way to fetch a key set → the key for a token.
 * Holds: one fetch at a time; a `kid` that nobody knows leads to at most one in 30 s, whoever sends it how often; old keys
 *   serve an hour at most while there are no new ones, and nobody waits longer than a second for better ones.
 * Fails: `identity_required`.
 * Source: OpenID Connect Core 1.0 §10.1.1 (rotation).
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { Outage } from '../outage.ts';
import { unproven } from './json-request.ts';
import type { KeySet } from './key-set.ts';

export interface KeySource {
  /** @throws EgressError `identity_required`. */
  find(kid: string | undefined, algorithm: string): Promise<KeyObject>;
}

export interface KeySourceParts {
  fetch(): Promise<KeySet>;
  readonly clock: Clock;
  readonly outage: Outage;
}

const UNKNOWN_KID_COOLDOWN_MS = 30_000;
const RETRY_MS = 5_000;
const PATIENCE_MS = 1_000;
const MAX_AGE_MS = 10 * 60_000;
const MAX_STALE_MS = 60 * 60_000;

export function createKeySource(parts: KeySourceParts): KeySource {
  return new Rotating(parts);
}

class Rotating implements KeySource {
  readonly #parts: KeySourceParts;
  #keys: KeySet | null = null;
  /** Monotonic `ms`, as all times here. */
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #failedAt = Number.NEGATIVE_INFINITY;
  #flight: Promise<void> | null = null;

  constructor(parts: KeySourceParts) {
    this.#parts = parts;
  }

  async find(kid: string | undefined, algorithm: string): Promise<KeyObject> {
    if (this.#ageMs() > MAX_AGE_MS) await (this.#usable() === null ? this.#refresh() : this.#refreshPatiently());
    const known = this.#usable()?.find(kid, algorithm) ?? null;
    if (known !== null) return known;
    if (this.#ageMs() > UNKNOWN_KID_COOLDOWN_MS) await this.#refresh();
    const keys = this.#usable();
    if (keys === null) throw unproven('the keys of its issuer cannot be had');
    const key = keys.find(kid, algorithm);
    if (key === null) throw unproven('its issuer has no such key');
    return key;
  }

  #ageMs(): number {
    return this.#parts.clock.monotonicMs() - this.#fetchedAt;
  }

  #usable(): KeySet | null {
    return this.#ageMs() <= MAX_STALE_MS ? this.#keys : null;
  }

  /** There are keys that still count: a slow issuer holds nobody up for long. */
  async #refreshPatiently(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const patience = this.#parts.clock.schedule(PATIENCE_MS, resolve);
    await Promise.race([this.#refresh(), promise]);
    patience.cancel();
  }

  /** Never rejects; after a failure the next try waits. */
  async #refresh(): Promise<void> {
    if (this.#flight === null && this.#parts.clock.monotonicMs() - this.#failedAt < RETRY_MS) return;
    this.#flight ??= this.#fetch().finally(() => {
      this.#flight = null;
    });
    await this.#flight;
  }

  async #fetch(): Promise<void> {
    const { clock, outage } = this.#parts;
    try {
      this.#keys = await this.#parts.fetch();
      this.#fetchedAt = clock.monotonicMs();
      outage.over();
    } catch (thrown) {
      this.#failedAt = clock.monotonicMs();
      outage.began((thrown instanceof EgressError ? thrown.detail : null) ?? 'unknown');
    }
  }
}
