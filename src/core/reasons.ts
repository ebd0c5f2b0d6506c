/**
 * Duty: every reason for which a request is denied, in one table.
 * In → Out: reason → HTTP status, Proxy-Status error (RFC 9209 §2.3), retryable, title.
 * Not here: failures (`errors.ts`); the decision (policy/decide.ts).
 */
import type { FailureRow } from './errors.ts';

const row = (status: number, retryable: boolean, title: string): FailureRow =>
  Object.freeze({ status, proxyError: 'http_request_denied', retryable, title });

export const REASONS = Object.freeze({
  destination_unknown: row(403, false, 'No Service of the policy names this destination'),
  workload_ended: row(403, false, 'The instance of this workload has ended'),
  workload_unbound: row(403, false, 'No policy or binding allows this workload to use this destination'),
  rule_missing: row(403, false, 'No rule of the egress policy matches the request'),
  rule_denied: row(403, false, 'A rule of the egress policy denies the request'),
  scope_denied: row(403, false, 'The scope of this instance does not include the request'),
  approval_required: row(403, false, 'The rule requires an approval, and approvals are not configured'),
  path_ambiguous: row(403, false, 'The path is spelled in a way that a path rule could be fooled by'),
  mints_credentials: row(403, false, 'The call would hand a credential to the workload'),
  call_ambiguous: row(403, false, 'Whether the call mints a credential cannot be told'),
  placeholder_misplaced: row(403, false, 'A placeholder was sent where it does not belong'),
  placeholder_repeated: row(403, false, 'A placeholder was sent more than once'),
  placeholder_unknown: row(403, false, 'A placeholder was sent that is not the one of this instance'),
  credential_place_missing: row(
    403,
    false,
    'The request lacks the place into which the credential of its binding goes',
  ),
  body_malformed: row(
    403,
    false,
    'The body cannot be read in one way only, and the credential of the binding goes into it',
  ),
  insecure_scheme: row(403, false, 'A credential is bound to this destination and the request is not https'),
  rate_limited: row(429, true, 'The request limit of this workload is reached'),
  connections_limited: row(429, true, 'The limit of connections of this workload is reached'),
  upgrade_denied: row(403, false, 'No rule lets this request become a WebSocket'),
  concurrency_limited: row(429, true, 'The limit of concurrent requests of this workload is reached'),
});

export type DenialReason = keyof typeof REASONS;

/** The other outcome of `decide`: a value, never thrown. */
export interface Denial {
  readonly kind: 'denial';
  readonly reason: DenialReason;
  /** Rule that denied, as `policy/index`; null where none matched. */
  readonly rule: string | null;
  /** What would have to change; safe for an identified workload. */
  readonly detail: string;
  /** `ms` after which a retry makes sense; null where it never does. */
  readonly retryAfterMs: number | null;
  /** Policy revision that decided. */
  readonly revision: string;
}
