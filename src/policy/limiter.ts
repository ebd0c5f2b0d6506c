/**
 * Duty: the limits of a policy over time: requests in a window, requests at once.
 * In → Out: `Permit` → a denial, or the function that gives the place back.
 * Holds: counted for each workload and policy, all instances of the workload together, so that starting more of them buys
 *   nothing; counts outlive a reload of the policy; what is idle is forgotten.
 * Not here: limits of connections (listener/), of the proxy as a whole (app.ts).
 */
import type { Clock } from '../core/clock.ts';
import type { Denial, DenialReason } from '../core/reasons.ts';
import type { PolicyLimits } from './options.ts';
import type { Permit } from './permit.ts';

export interface Limiter {
  /** A denial, or a function to be called when the exchange is over; calling it again changes nothing. */
  admit(permit: Permit): Denial | (() => void);
}

/** Enough for every workload and policy of a large installation; above it, idle meters are dropped. */
const MAX_METERS = 4_096;
/** There is no telling when a place is free; this only keeps a client from asking in a tight loop. */
const CONCURRENCY_RETRY_MS = 1_000;
/** What is returned where the policy limits nothing. */
export const NOTHING_HELD = (): void => {};

interface Meter {
  /** Requests that may be made now, at most the window's count. */
  tokens: number;
  /** Monotonic `ms` of the last refill. */
  refilledAt: number;
  /** Monotonic `ms` at which the bucket will be full again if nothing comes. */
  fullAt: number;
  active: number;
}

export function createLimiter(clock: Clock): Limiter {
  const meters = new Map<string, Meter>();
  return {
    admit: (permit) => {
      const { limits, workload, rule } = permit.facts;
      if (limits.requests === null && limits.concurrent === null) return NOTHING_HELD;
      const now = clock.monotonicMs();
      const meter = meterOf(meters, `${workload.name}\0${policyOf(rule)}`, limits, now);
      if (limits.concurrent !== null && meter.active >= limits.concurrent) {
        return denial(permit, 'concurrency_limited', `at most ${limits.concurrent} at once`, CONCURRENCY_RETRY_MS);
      }
      const waitMs = limits.requests === null ? 0 : take(meter, limits.requests, now);
      if (waitMs > 0 && limits.requests !== null) {
        const { count, perMs } = limits.requests;
        return denial(
          permit,
          'rate_limited',
          `at most ${count} in ${perMs} ms`,
          Number.isFinite(waitMs) ? waitMs : null,
        );
      }
      meter.active++;
      return releaseOnce(meter);
    },
  };
}

/** Takes one token; returns 0, or the `ms` until there is one. */
function take(meter: Meter, { count, perMs }: NonNullable<PolicyLimits['requests']>, now: number): number {
  const msPerToken = perMs / count;
  meter.tokens = Math.min(count, meter.tokens + Math.max(0, now - meter.refilledAt) / msPerToken);
  meter.refilledAt = Math.max(meter.refilledAt, now);
  // Sums of fractions may fall short of a whole token by less than anybody could wait for.
  if (meter.tokens < 1 - 1e-9) return Math.ceil((1 - meter.tokens) * msPerToken);
  meter.tokens = Math.max(0, meter.tokens - 1);
  meter.fullAt = now + (count - meter.tokens) * msPerToken;
  return 0;
}

function meterOf(meters: Map<string, Meter>, key: string, limits: PolicyLimits, now: number): Meter {
  const known = meters.get(key);
  if (known !== undefined) return known;
  if (meters.size >= MAX_METERS) {
    for (const [old, meter] of meters) if (meter.active === 0 && meter.fullAt <= now) meters.delete(old);
  }
  const meter: Meter = { tokens: limits.requests?.count ?? 0, refilledAt: now, fullAt: now, active: 0 };
  meters.set(key, meter);
  return meter;
}

function releaseOnce(meter: Meter): () => void {
  let isHeld = true;
  return () => {
    if (isHeld) meter.active--;
    isHeld = false;
  };
}

/** `agents/0` → `agents`; names of policies may have a `/` of their own. */
function policyOf(rule: string): string {
  const slash = rule.lastIndexOf('/');
  return slash === -1 ? rule : rule.slice(0, slash);
}

function denial(permit: Permit, reason: DenialReason, detail: string, retryAfterMs: number | null): Denial {
  const { rule, revision } = permit.facts;
  return { kind: 'denial', reason, rule, detail, retryAfterMs, revision };
}
