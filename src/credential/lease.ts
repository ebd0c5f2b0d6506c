/**
 * Duty: one generation of a credential: who uses it, and its end.
 * In → Out: `Grant` → `Credential`s to hand out; at the end zeroed parts and a revoked grant.
 * Holds: revoked once, when it is retired and no exchange uses it, or at once where it must end now; the parts are zeroed
 *   when the last exchange gave it back.
 * Not here: when it is replaced (lease-slot.ts).
 */
import type { Clock } from '../core/clock.ts';
import type { Credential, LeaseFacts } from './credential.ts';
import { believedMs, usableMs } from './pacing.ts';
import { destroyParts, type Grant } from './source.ts';

export interface LeaseNames {
  readonly workload: string;
  readonly instance: string | null;
  readonly binding: string;
  readonly source: string;
  readonly generation: number;
  /** See `Credential.key`. */
  readonly key: string;
}

export interface LeaseParts {
  readonly names: LeaseNames;
  readonly grant: Grant;
  readonly clock: Clock;
  /** Ends the grant at its source; resolves with whether that worked, never rejects. */
  revoke(lease: Lease): Promise<boolean>;
  /** Called once, when no new exchange may get it. */
  onRetired(lease: Lease): void;
  /** Called once, when it holds nothing any more and is revoked or was tried to be. */
  onGone(lease: Lease): void;
}

const SHOWN_LEASE_ID = 24;
/** Also credentials of before a renewal, which are still to be given back. */
const leases = new WeakMap<Credential, Lease>();

/** The lease that `credential` was handed out by. */
export const leaseOf = (credential: Credential): Lease | undefined => leases.get(credential);

export class Lease {
  readonly names: LeaseNames;
  readonly grant: Grant;
  readonly ttlMs: number;
  /** Monotonic `ms`. */
  readonly startedAtMs: number;
  readonly #parts: LeaseParts;
  #credential: Credential;
  #usableUntilMs = 0;
  #endsAtMs = 0;
  #inUse = 0;
  #isRetired = false;
  #revocation: Promise<boolean> | null = null;
  #isRevoked = false;

  constructor(parts: LeaseParts) {
    this.names = parts.names;
    this.grant = parts.grant;
    this.#parts = parts;
    this.startedAtMs = parts.clock.monotonicMs();
    this.ttlMs = believedMs(parts.grant.expiresAtMonotonicMs - this.startedAtMs);
    this.#credential = this.extend(parts.grant.expiresAtMonotonicMs);
  }

  /** The one that exchanges get now: the same object for all, a new one after a renewal. */
  get credential(): Credential {
    return this.#credential;
  }

  get usableUntilMs(): number {
    return this.#usableUntilMs;
  }

  /** Monotonic `ms`. */
  get endsAtMs(): number {
    return this.#endsAtMs;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** Still given to new exchanges, as far as its time goes. */
  get isCurrent(): boolean {
    return !this.#isRetired;
  }

  acquire(): Credential {
    this.#inUse++;
    return this.#credential;
  }

  release(): void {
    if (this.#inUse > 0) this.#inUse--;
    this.#settle();
  }

  /** Counts the new end in. */
  extend(expiresAtMonotonicMs: number): Credential {
    const { clock, names, grant } = this.#parts;
    const now = clock.monotonicMs();
    const ttlMs = believedMs(expiresAtMonotonicMs - now);
    this.#usableUntilMs = now + usableMs(ttlMs);
    this.#endsAtMs = now + ttlMs;
    const facts: LeaseFacts = {
      idPrefix: grant.leaseId?.slice(0, SHOWN_LEASE_ID) ?? null,
      accessor: grant.accessor,
      expiresAt: Math.round(clock.now() + ttlMs),
      renewable: grant.renewable,
    };
    this.#credential = Object.freeze({
      source: names.source,
      generation: names.generation,
      key: names.key,
      parts: grant.parts,
      lease: Object.freeze(facts),
    });
    leases.set(this.#credential, this);
    return this.#credential;
  }

  /** No new exchange gets it; it ends when the last one is over. Idempotent. */
  retire(): void {
    this.#markRetired();
    this.#settle();
  }

  /** Ends it at its source although exchanges may use it. Idempotent; resolves with whether it is revoked. */
  revokeNow(): Promise<boolean> {
    this.#markRetired();
    this.#revocation ??= this.#revoke();
    this.#settle();
    return this.#revocation;
  }

  #markRetired(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#parts.onRetired(this);
  }

  #settle(): void {
    if (!this.#isRetired || this.#inUse > 0) return;
    destroyParts(this.grant);
    this.#revocation ??= this.#revoke();
    if (this.#isRevoked) this.#gone();
  }

  async #revoke(): Promise<boolean> {
    const worked = await this.#parts.revoke(this);
    this.#isRevoked = true;
    if (this.#inUse === 0) this.#gone();
    return worked;
  }

  #gone(): void {
    this.#parts.onGone(this);
  }
}
