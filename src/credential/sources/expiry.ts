/**
 * Duty: when a credential ends, as a program or a server says it.
 * Holds: the end is in the future and at most 24 hours away; it is counted from before the question was asked.
 * Fails: `credential_invalid`.
 * Source: RFC 3339 with its offset.
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';

/** No answer is believed for longer. */
const MAX_LIFE_MS = 24 * 60 * 60_000;
const MOMENT = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

const unusable = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the credential source ${what}` });

/** Monotonic `ms`. @throws EgressError `credential_invalid`. */
export function endAfterSeconds(seconds: unknown, startMonotonicMs: number): number {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= 0)
    throw unusable('says a lifetime that is no number of seconds above 0');
  return startMonotonicMs + Math.min(seconds * 1000, MAX_LIFE_MS);
}

/** Monotonic `ms`. @throws EgressError `credential_invalid`. */
export function endAtMoment(moment: string, clock: Clock): number {
  const at = MOMENT.test(moment) ? Date.parse(moment) : Number.NaN;
  if (Number.isNaN(at)) throw unusable('says an end that is no date and time with its offset, 2026-01-31T12:00:00Z');
  const restMs = at - clock.now();
  if (restMs <= 0) throw unusable('says an end that is over; compare the clocks');
  return clock.monotonicMs() + Math.min(restMs, MAX_LIFE_MS);
}
