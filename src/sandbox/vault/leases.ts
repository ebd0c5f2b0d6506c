/**
 * Duty: the lease table: register, look up, renew, revoke, expire.
 * In → Out: an engine's `LeaseWish` → a lease under the token that asked; its end → the engine's `revoke`, once.
 * Holds: a lease ends with its service token, whatever `lease_duration` said; under a batch token it is cut to the token's
 *   remaining time instead and hangs on none; the table is bounded.
 * Source: OpenBao `Register` and `Renew` of the expiration manager (behaviour only).
 */

import type { Clock } from '../../core/clock.ts';
import { capTtl, SYSTEM_TTL_MS, toSeconds } from './durations.ts';
import type { Deadline, Expiry } from './expiry.ts';
import type { JsonObject, LeaseWish } from './reply.ts';
import type { Token } from './tokens.ts';

export interface LiveLease {
  readonly id: string;
  /** Without the random end: `openai/creds/ai-agent`. */
  readonly path: string;
  readonly renewable: boolean;
  /** Of the token that asked for it. */
  readonly accessor: string;
  /** Epoch `ms`, on the clock of now. */
  readonly expiresAt: number;
}

interface Lease {
  readonly id: string;
  readonly path: string;
  readonly wish: LeaseWish;
  readonly token: Token;
  readonly mountMaxMs: number;
  readonly issuedAt: number;
  readonly issuedAtMonotonicMs: number;
  lastRenewalAt: number | null;
  endsAtMonotonicMs: number;
  deadline: Deadline | null;
}

export interface LeaseLimits {
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
}

export type Renewal =
  | { readonly ok: true; readonly ttlMs: number; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly error: string };

const MAX_LEASES = 50_000;

export class LeaseTable {
  readonly #clock: Clock;
  readonly #expiry: Expiry;
  readonly #leases = new Map<string, Lease>();
  readonly #onRevoked: () => void;

  constructor(clock: Clock, expiry: Expiry, onRevoked: () => void) {
    this.#clock = clock;
    this.#expiry = expiry;
    this.#onRevoked = onRevoked;
  }

  /** The TTL that counts, or null where the table is full or the token has ended meanwhile; then the wish is revoked. */
  register(
    id: string,
    path: string,
    wish: LeaseWish,
    token: Token,
    limits: LeaseLimits,
  ): { readonly ttlMs: number; readonly warnings: readonly string[] } | null {
    if (this.#leases.size >= MAX_LEASES || !token.isLive) {
      wish.revoke();
      return null;
    }
    const nowMonotonicMs = this.#clock.monotonicMs();
    const capped = capTtl({
      incrementMs: 0,
      backendMs: wish.ttlMs,
      backendMaxMs: wish.maxTtlMs,
      explicitMaxMs: 0,
      mountDefaultMs: limits.defaultTtlMs,
      mountMaxMs: limits.maxTtlMs,
      ageMs: 0,
    });
    const ttlMs = this.#cutToBatchToken(token, capped.ttlMs, nowMonotonicMs);
    const lease: Lease = {
      id,
      path,
      wish,
      token,
      mountMaxMs: limits.maxTtlMs,
      issuedAt: this.#clock.now(),
      issuedAtMonotonicMs: nowMonotonicMs,
      lastRenewalAt: null,
      endsAtMonotonicMs: nowMonotonicMs + ttlMs,
      deadline: null,
    };
    lease.deadline = this.#expiry.at(lease.endsAtMonotonicMs, () => this.revoke(id));
    this.#leases.set(id, lease);
    if (token.type === 'service') token.leases.add(id);
    return { ttlMs, warnings: capped.warnings };
  }

  renew(id: string, incrementMs: number): Renewal {
    const lease = this.#leases.get(id);
    if (lease === undefined) return { ok: false, error: 'lease not found' };
    const nowMonotonicMs = this.#clock.monotonicMs();
    if (nowMonotonicMs >= lease.endsAtMonotonicMs) return { ok: false, error: 'lease expired' };
    if (!lease.wish.renewable) return { ok: false, error: 'lease is not renewable' };
    const capped = capTtl({
      incrementMs,
      backendMs: lease.wish.ttlMs,
      backendMaxMs: lease.wish.maxTtlMs,
      explicitMaxMs: 0,
      mountDefaultMs: SYSTEM_TTL_MS,
      mountMaxMs: lease.mountMaxMs,
      ageMs: nowMonotonicMs - lease.issuedAtMonotonicMs,
    });
    const ttlMs = this.#cutToBatchToken(lease.token, capped.ttlMs, nowMonotonicMs);
    if (ttlMs <= 0) return { ok: false, error: 'past the max TTL, cannot renew' };
    lease.lastRenewalAt = this.#clock.now();
    lease.endsAtMonotonicMs = nowMonotonicMs + ttlMs;
    lease.deadline?.move(lease.endsAtMonotonicMs);
    return { ok: true, ttlMs, warnings: capped.warnings };
  }

  isRenewable(id: string): boolean {
    return this.#leases.get(id)?.wish.renewable ?? false;
  }

  /** Idempotent; false: no such lease. */
  revoke(id: string): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    this.#leases.delete(id);
    lease.deadline?.cancel();
    lease.token.leases.delete(id);
    lease.wish.revoke();
    this.#onRevoked();
    return true;
  }

  revokeOf(token: Token): void {
    for (const id of [...token.leases]) this.revoke(id);
  }

  revokePrefix(prefix: string): void {
    if (this.revoke(prefix)) return;
    const folder = prefix.endsWith('/') ? prefix : `${prefix}/`;
    for (const id of [...this.#leases.keys()]) {
      if (id.startsWith(folder)) this.revoke(id);
    }
  }

  /** Names directly below `prefix`, folders with a slash. */
  keysBelow(prefix: string): readonly string[] {
    const keys = new Set<string>();
    for (const id of this.#leases.keys()) {
      if (!id.startsWith(prefix)) continue;
      const rest = id.slice(prefix.length);
      const slash = rest.indexOf('/');
      keys.add(slash === -1 ? rest : rest.slice(0, slash + 1));
    }
    return [...keys];
  }

  /** The data of sys/leases/lookup; null: no such lease. */
  describe(id: string): JsonObject | null {
    const lease = this.#leases.get(id);
    if (lease === undefined) return null;
    const leftMs = lease.endsAtMonotonicMs - this.#clock.monotonicMs();
    return {
      id,
      issue_time: new Date(lease.issuedAt).toISOString(),
      expire_time: new Date(this.#clock.now() + leftMs).toISOString(),
      last_renewal: lease.lastRenewalAt === null ? null : new Date(lease.lastRenewalAt).toISOString(),
      path: lease.path,
      renewable: lease.wish.renewable,
      ttl: toSeconds(leftMs),
    };
  }

  live(): readonly LiveLease[] {
    const monotonicMs = this.#clock.monotonicMs();
    const now = this.#clock.now();
    return [...this.#leases.values()].map((lease) => ({
      id: lease.id,
      path: lease.path,
      renewable: lease.wish.renewable,
      accessor: lease.token.accessor,
      expiresAt: now + lease.endsAtMonotonicMs - monotonicMs,
    }));
  }

  #cutToBatchToken(token: Token, ttlMs: number, nowMonotonicMs: number): number {
    if (token.type !== 'batch' || token.endsAtMonotonicMs === null) return ttlMs;
    return Math.min(ttlMs, token.endsAtMonotonicMs - nowMonotonicMs);
  }
}
