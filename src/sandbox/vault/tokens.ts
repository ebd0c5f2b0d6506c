/**
 * Duty: the token store: issue, find, use up, renew, revoke.
 * In → Out: a `TokenWish` → a `Token`; the text that a client shows → the live token or null.
 * Holds: a token that has ended takes its leases and its non-orphan children with it; an ended token is not found; a batch token
 *   is kept here too, though a real one lives in its own text, and cannot be renewed or revoked.
 * Not here: the paths of auth/token (token-backend.ts), what a policy allows (policies.ts).
 */

import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { randomText } from '../registry.ts';
import { capTtl, SYSTEM_TTL_MS, toSeconds } from './durations.ts';
import type { Deadline, Expiry } from './expiry.ts';
import type { JsonObject } from './reply.ts';

export type TokenType = 'service' | 'batch';

export interface TokenWish {
  readonly type: TokenType;
  readonly policies: readonly string[];
  /** The path that created it: `auth/jwt/login`. */
  readonly path: string;
  readonly displayName: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly entityId: string;
  /** What it ends with; null for orphans, and for batch tokens, which hang on none here. */
  readonly parent: Token | null;
  readonly isOrphan: boolean;
  readonly role: string | null;
  /** 0: never ends, as the root token. */
  readonly ttlMs: number;
  readonly maxTtlMs: number;
  readonly explicitMaxTtlMs: number;
  /** 0: not periodic. */
  readonly periodMs: number;
  readonly renewable: boolean;
  /** 0: unlimited. */
  readonly numUses: number;
}

export interface Token extends TokenWish {
  readonly id: string;
  readonly accessor: string;
  readonly createdAt: number;
  readonly createdAtMonotonicMs: number;
  /** Lease ids that end with it. */
  readonly leases: Set<string>;
  readonly children: Set<Token>;
  /** Null: never. */
  endsAtMonotonicMs: number | null;
  lastRenewalAt: number | null;
  usesLeft: number;
  isLive: boolean;
}

const MAX_TOKENS = 50_000;

export class TokenTable {
  readonly #clock: Clock;
  readonly #expiry: Expiry;
  readonly #byId = new Map<string, Token>();
  readonly #byAccessor = new Map<string, Token>();
  readonly #deadlines = new Map<Token, Deadline>();
  readonly #onEnd: (token: Token) => void;

  /** `onEnd` ends what hangs on the token. */
  constructor(clock: Clock, expiry: Expiry, onEnd: (token: Token) => void) {
    this.#clock = clock;
    this.#expiry = expiry;
    this.#onEnd = onEnd;
  }

  /** Null: the table is full. */
  issue(wish: TokenWish): Token | null {
    if (this.#byId.size >= MAX_TOKENS) return null;
    const nowMonotonicMs = this.#clock.monotonicMs();
    const token: Token = {
      ...wish,
      id: wish.type === 'batch' ? `hvb.AAAAAQ${randomText(128)}` : `hvs.${randomText(90)}`,
      accessor: wish.type === 'batch' ? '' : randomText(24),
      createdAt: this.#clock.now(),
      createdAtMonotonicMs: nowMonotonicMs,
      leases: new Set(),
      children: new Set(),
      endsAtMonotonicMs: wish.ttlMs === 0 ? null : nowMonotonicMs + wish.ttlMs,
      lastRenewalAt: null,
      usesLeft: wish.numUses,
      isLive: true,
    };
    this.#byId.set(token.id, token);
    if (token.accessor !== '') this.#byAccessor.set(token.accessor, token);
    wish.parent?.children.add(token);
    if (token.endsAtMonotonicMs !== null) {
      this.#deadlines.set(
        token,
        this.#expiry.at(token.endsAtMonotonicMs, () => this.end(token)),
      );
    }
    return token;
  }

  find(id: string): Token | null {
    return this.#live(this.#byId.get(id));
  }

  findByAccessor(accessor: string): Token | null {
    return this.#live(this.#byAccessor.get(accessor));
  }

  accessors(): readonly string[] {
    return [...this.#byAccessor.keys()];
  }

  /** Costs one use of a limited token: `last` says that it must be ended after this call, `spent` that none was left. */
  use(token: Token): 'usable' | 'last' | 'spent' {
    if (token.numUses === 0) return 'usable';
    if (token.usesLeft === 0) return 'spent';
    token.usesLeft -= 1;
    return token.usesLeft === 0 ? 'last' : 'usable';
  }

  /** The new TTL in `ms` with warnings, or null where nothing is left to extend. */
  renew(token: Token, incrementMs: number): { readonly ttlMs: number; readonly warnings: readonly string[] } | null {
    const nowMonotonicMs = this.#clock.monotonicMs();
    const { ttlMs, warnings } = capTtl({
      incrementMs: token.periodMs > 0 ? token.periodMs : incrementMs,
      backendMs: token.ttlMs,
      backendMaxMs: token.periodMs > 0 ? 0 : token.maxTtlMs,
      explicitMaxMs: token.explicitMaxTtlMs,
      mountDefaultMs: SYSTEM_TTL_MS,
      mountMaxMs: token.periodMs > 0 ? Number.MAX_SAFE_INTEGER : SYSTEM_TTL_MS,
      ageMs: nowMonotonicMs - token.createdAtMonotonicMs,
    });
    if (ttlMs <= 0) return null;
    token.endsAtMonotonicMs = nowMonotonicMs + ttlMs;
    token.lastRenewalAt = this.#clock.now();
    this.#deadlines.get(token)?.move(token.endsAtMonotonicMs);
    return { ttlMs, warnings };
  }

  /** Idempotent: the token, its leases and its children. */
  end(token: Token): void {
    if (!token.isLive) return;
    this.#forget(token);
    this.#onEnd(token);
    for (const child of token.children) this.end(child);
  }

  /** As `end`, but the children live on as orphans. */
  endAlone(token: Token): void {
    token.children.clear();
    this.end(token);
  }

  /** `ms` until its end; 0 for one without end. */
  remainingMs(token: Token): number {
    return token.endsAtMonotonicMs === null ? 0 : Math.max(0, token.endsAtMonotonicMs - this.#clock.monotonicMs());
  }

  /** The data of auth/token/lookup. */
  describe(token: Token): JsonObject {
    const remainingMs = this.remainingMs(token);
    const hasEnd = token.endsAtMonotonicMs !== null;
    return {
      accessor: token.accessor,
      creation_time: toSeconds(token.createdAt),
      creation_ttl: toSeconds(token.ttlMs),
      display_name: token.displayName,
      entity_id: token.entityId,
      expire_time: hasEnd ? new Date(this.#clock.now() + remainingMs).toISOString() : null,
      explicit_max_ttl: toSeconds(token.explicitMaxTtlMs),
      id: token.id,
      ...(hasEnd ? { issue_time: new Date(token.createdAt).toISOString(), renewable: token.renewable } : {}),
      ...(token.lastRenewalAt === null
        ? {}
        : {
            last_renewal: new Date(token.lastRenewalAt).toISOString(),
            last_renewal_time: toSeconds(token.lastRenewalAt),
          }),
      meta: Object.keys(token.meta).length === 0 ? null : token.meta,
      // the call that asks may be its last
      num_uses: token.numUses > 0 && token.usesLeft === 0 ? -1 : token.usesLeft,
      orphan: token.isOrphan,
      path: token.path,
      ...(token.periodMs > 0 ? { period: toSeconds(token.periodMs) } : {}),
      policies: token.policies,
      ...(token.role === null ? {} : { role: token.role }),
      ttl: toSeconds(remainingMs),
      type: token.type,
    };
  }

  /** The `auth` part of a login or a creation. */
  describeAuth(token: Token, ttlMs: number): JsonObject {
    return {
      client_token: token.id,
      accessor: token.accessor,
      policies: token.policies,
      token_policies: token.policies,
      metadata: Object.keys(token.meta).length === 0 ? null : token.meta,
      lease_duration: toSeconds(ttlMs),
      renewable: token.renewable,
      entity_id: token.entityId,
      token_type: token.type,
      orphan: token.isOrphan,
      mfa_requirement: null,
      num_uses: token.numUses,
    };
  }

  #live(token: Token | undefined): Token | null {
    if (token === undefined) return null;
    if (token.endsAtMonotonicMs !== null && this.#clock.monotonicMs() >= token.endsAtMonotonicMs) {
      this.end(token);
      return null;
    }
    return token;
  }

  #forget(token: Token): void {
    token.isLive = false;
    this.#byId.delete(token.id);
    this.#byAccessor.delete(token.accessor);
    token.parent?.children.delete(token);
    this.#deadlines.get(token)?.cancel();
    this.#deadlines.delete(token);
  }
}

/** Stable for one user of one mount, as an entity is. */
export function newEntityId(): string {
  return randomUUID();
}
