/**
 * Duty: how long a lease is used, when it is replaced, how long a failure is remembered. Pure.
 * Holds: whatever the lifetime, something of it is usable and it is replaced before that is over.
 */
const SECOND = 1000;

/** The part of a lifetime in which new exchanges get it: without max(30 s, 10 %), but at least half. */
export function usableMs(ttlMs: number): number {
  return ttlMs - Math.min(Math.max(30 * SECOND, ttlMs / 10), ttlMs / 2);
}

/** About two thirds of the usable time, spread over 20 % so that leases of one moment are not replaced in one moment. */
export function replaceAfterMs(usable: number, random: () => number): number {
  return usable * (0.6 + random() * 0.13);
}

/** 1 s to 60 s, doubling, the upper half of it by chance. */
export function backOffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(60 * SECOND, 2 ** Math.min(failures, 6) * SECOND);
  return Math.max(SECOND, ceiling * (0.5 + random() / 2));
}

/**
 * A refusal holds until somebody changed something; anything else is asked again soon, or when the source says. Up to a second
 * more by chance, so that those who were refused in one moment do not come back in one.
 */
export function rememberFailureMs(code: string, retryAfterMs: number | null, random: () => number): number {
  const isDenied = code === 'credential_denied';
  const usualMs = isDenied ? 60 * SECOND : SECOND;
  const shortestMs = Math.min(Math.max(retryAfterMs ?? usualMs, SECOND), 60 * SECOND);
  return isDenied ? shortestMs : shortestMs + Math.floor(random() * SECOND);
}

/** What a source says of a lifetime, within what is believed: not for ever, and no number that is none. */
export function believedMs(ttlMs: number): number {
  return Number.isNaN(ttlMs) ? 0 : Math.min(Math.max(ttlMs, 0), 24 * 60 * 60 * SECOND);
}
