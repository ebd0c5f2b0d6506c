/**
 * Duty: what a status of Vault or OpenBao means for whoever wants a credential.
 * In → Out: status and Retry-After → `EgressError` with the fitting code, or "try once more".
 * Holds: `detail` is one of the fixed sentences below: no path, no address, nothing that Vault wrote.
 * Fails: makes `credential_unavailable` (the same call may work later), `credential_denied` (somebody must change
 *   something) and `credential_invalid`; throws none.
 * Source: Vault HTTP API, "HTTP status codes" and sys/health; RFC 9110 §10.2.3 (Retry-After in seconds).
 */
import { EgressError } from '../core/errors.ts';

/** States that pass by themselves. */
const UNAVAILABLE = new Map<number, string>([
  [408, 'the credential source did not read the request in time'],
  [412, 'the credential source has not caught up with its active node'],
  [425, 'the credential source is not ready'],
  [429, 'the credential source limits requests'],
  [472, 'the credential source is a standby of a disaster-recovery cluster'],
  [473, 'the credential source is a performance standby'],
  [474, 'the credential source is a standby that lost its active node'],
  [500, 'the credential source failed'],
  [501, 'the credential source is not initialised'],
  [502, 'the service behind the credential source failed'],
  [503, 'the credential source is sealed or in maintenance'],
  [504, 'the service behind the credential source did not answer in time'],
  [530, 'the credential source left its cluster'],
]);

const DENIED = new Map<number, string>([
  [400, 'the credential source refused the request as wrong: check role, parameters and lease'],
  [401, 'the credential source refused the workload'],
  [403, 'the credential source refused the workload: its policy, its role or the token'],
  [404, 'the credential source has nothing at the configured place, or hides it'],
  [405, 'the credential source does not support the configured method there'],
]);

const RETRY_AFTER = /^[0-9]{1,5}$/;

/** Engines answer 400 also where the service behind them had a bad moment, so that a read is asked again after a while. */
const ASK_AGAIN_MS = 10_000;

/**
 * The error for a status that is neither 200 nor 204. `credential_denied` without `retryAfterMs` says that the workload
 * itself was refused: any refused login, and 401 or 403 later.
 */
export function failureOf(status: number, retryAfter: string | null, isLogin: boolean): EgressError {
  // A quota rounds down what is left of its interval, to 0 in its last second.
  const retryAfterMs =
    retryAfter !== null && RETRY_AFTER.test(retryAfter) ? Math.max(1, Number(retryAfter)) * 1000 : 1000;
  if (status >= 300 && status < 400) {
    return new EgressError('credential_unavailable', {
      detail:
        'the credential source redirects to a node that is not listed; name the active node as address, or list it under redirects',
      retryAfterMs,
    });
  }
  const denied =
    DENIED.get(status) ??
    (status >= 400 && status < 500 && !UNAVAILABLE.has(status) ? 'the credential source refused the request' : null);
  if (denied !== null) {
    const isFinal = isLogin || status === 401 || status === 403;
    return new EgressError(
      'credential_denied',
      isFinal ? { detail: denied } : { detail: denied, retryAfterMs: ASK_AGAIN_MS },
    );
  }
  if (status >= 400) {
    const detail = UNAVAILABLE.get(status) ?? 'the credential source failed';
    return new EgressError('credential_unavailable', { detail, retryAfterMs });
  }
  return new EgressError('credential_invalid', { detail: 'the credential source answered with an unknown status' });
}

/**
 * What 500 means of a node that is not the active one: it did the call itself, and what it would have had to keep it could not. The
 * engine may have made a credential by then, so it is not asked again at once.
 */
export function standbyFailure(): EgressError {
  return new EgressError('credential_unavailable', {
    detail:
      'the credential source is a standby and failed, as where it cannot keep a lease: name the active node, or set token_num_uses to 2',
    retryAfterMs: ASK_AGAIN_MS,
  });
}

/**
 * Whether the same call deserves one more try after a moment. A token that has never worked, or is young, may be unknown to a
 * standby that lags behind, which is a 403 there; a token with a count of uses is always checked by the active node.
 */
export function isWorthRetrying(
  status: number,
  token: { readonly isUnproven: boolean; readonly numUses: number } | null,
): boolean {
  if (token !== null && token.numUses > 0) return false;
  return status === 412 || (status === 403 && token !== null && token.isUnproven);
}

export type HealthState = 'active' | 'standby' | 'sealed' | 'uninitialised' | 'removed' | 'unknown';

/** What sys/health says with its status alone. */
export function healthOf(status: number): HealthState {
  if (status === 200) return 'active';
  if (status === 429 || status === 472 || status === 473 || status === 474) return 'standby';
  if (status === 501) return 'uninitialised';
  if (status === 530) return 'removed';
  return status === 503 ? 'sealed' : 'unknown';
}
