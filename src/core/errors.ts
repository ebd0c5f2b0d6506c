/**
 * Duty: every way in which an exchange can fail, in one table.
 * In → Out: code → HTTP status, Proxy-Status error (RFC 9209 §2.3), retryable, title.
 * Holds: codes are stable, programs act on them; `detail` is safe for audit and for an identified workload, `cause` never
 *   leaves the process.
 * Not here: denials, which are decisions and not failures (`reasons.ts`); the choice of the answer (`../rescue.ts`).
 */

export interface FailureRow {
  /** HTTP status of the answer; 0 where there is nobody to answer. */
  readonly status: number;
  /** Proxy error type of RFC 9209 §2.3. */
  readonly proxyError: string;
  /** The same request may succeed later without a change by the workload. */
  readonly retryable: boolean;
  /** One sentence for the problem document (RFC 9457 `title`) and for README's table. */
  readonly title: string;
}

const row = (status: number, proxyError: string, retryable: boolean, title: string): FailureRow =>
  Object.freeze({ status, proxyError, retryable, title });

export const ERRORS = Object.freeze({
  // downstream: what the workload sent
  request_malformed: row(400, 'http_request_error', false, 'The request is malformed or ambiguous'),
  authority_malformed: row(400, 'http_request_error', false, 'The host or port of the request is malformed'),
  authority_mismatch: row(421, 'http_request_error', false, 'CONNECT target, TLS server name and Host differ'),
  request_head_too_large: row(431, 'http_request_error', false, 'The request head is larger than the limit'),
  request_target_too_long: row(414, 'http_request_error', false, 'The request target is longer than the limit'),
  request_body_too_large: row(
    413,
    'http_request_error',
    false,
    'The request body must be seen whole, for a signature or a credential in it, and is larger than the limit',
  ),
  request_timeout: row(408, 'http_request_error', true, 'The request did not arrive in time'),
  request_method_unsupported: row(501, 'http_request_error', false, 'The method or transfer coding is not supported'),
  request_version_unsupported: row(505, 'http_request_error', false, 'The HTTP version is not supported'),
  expectation_failed: row(417, 'http_request_error', false, 'The expectation is not supported'),
  upgrade_unsupported: row(501, 'http_request_error', false, 'The protocol upgrade is not supported'),
  proxy_loop_detected: row(508, 'proxy_loop_detected', false, 'The proxy was redirected into itself'),
  tls_handshake_failed: row(0, 'tls_protocol_error', false, 'The TLS handshake with the workload failed'),
  downstream_aborted: row(0, 'connection_terminated', false, 'The workload closed the connection'),
  gateway_host_unknown: row(421, 'http_request_error', false, 'The gateway is not called by that name'),
  gateway_path_malformed: row(
    400,
    'http_request_error',
    false,
    'The path of the request to the gateway does not begin with the name of a Service in one plain way',
  ),
  gateway_service_unknown: row(404, 'http_request_error', false, 'The policy has no Service of that name'),
  gateway_address_unclear: row(
    404,
    'http_request_error',
    false,
    'Which address of the Service is meant cannot be told by a request to the gateway',
  ),
  // workload and placeholder
  identity_required: row(407, 'http_request_denied', false, 'The calling workload could not be identified'),
  spiffe_id_malformed: row(500, 'proxy_configuration_error', false, 'A SPIFFE ID is malformed'),
  client_signature_invalid: row(
    403,
    'http_request_denied',
    false,
    'The AWS signature does not verify with the placeholder key of this workload',
  ),
  signing_unsupported: row(403, 'http_request_denied', false, 'This form of AWS signature cannot be signed again'),
  // credential
  credential_unavailable: row(503, 'proxy_internal_error', true, 'No credential could be obtained in time'),
  credential_denied: row(503, 'proxy_internal_error', false, 'The credential source refused this workload'),
  credential_invalid: row(
    503,
    'proxy_internal_error',
    false,
    'The credential source returned a value that cannot be used',
  ),
  credential_expired: row(503, 'proxy_internal_error', true, 'The lease has ended and no new one could be obtained'),
  secret_destroyed: row(500, 'proxy_internal_error', true, 'A credential was used after its end'),
  // upstream
  dns_error: row(502, 'dns_error', true, 'The name of the destination could not be resolved'),
  dns_timeout: row(504, 'dns_timeout', true, 'The resolver did not answer in time'),
  destination_ip_prohibited: row(
    502,
    'destination_ip_prohibited',
    false,
    'The destination resolves to an address that may not be dialled',
  ),
  destination_ip_unroutable: row(502, 'destination_ip_unroutable', true, 'There is no route to the destination'),
  connection_refused: row(502, 'connection_refused', true, 'The destination refused the connection'),
  connection_timeout: row(504, 'connection_timeout', true, 'The destination did not accept the connection in time'),
  connection_terminated: row(
    502,
    'connection_terminated',
    true,
    'The destination closed the connection before it answered',
  ),
  connection_limit_reached: row(503, 'connection_limit_reached', true, 'Too many connections to the destination'),
  tls_certificate_error: row(
    502,
    'tls_certificate_error',
    false,
    'The certificate of the destination could not be verified',
  ),
  tls_protocol_error: row(502, 'tls_protocol_error', false, 'The TLS handshake with the destination failed'),
  tls_alert_received: row(502, 'tls_alert_received', false, 'The destination ended the TLS handshake with an alert'),
  http_response_timeout: row(504, 'http_response_timeout', true, 'The destination did not answer in time'),
  connection_read_timeout: row(504, 'connection_read_timeout', true, 'The answer of the destination stalled'),
  connection_write_timeout: row(504, 'connection_write_timeout', true, 'The destination stopped reading the request'),
  http_response_incomplete: row(502, 'http_response_incomplete', true, 'The answer of the destination ended early'),
  http_response_header_section_size: row(
    502,
    'http_response_header_section_size',
    false,
    'The response head is larger than the limit',
  ),
  http_response_trailer_section_size: row(
    502,
    'http_response_trailer_section_size',
    false,
    'The trailers of the answer are larger than the limit',
  ),
  http_protocol_error: row(
    502,
    'http_protocol_error',
    false,
    'The answer of the destination is malformed or ambiguous',
  ),
  http_response_transfer_coding: row(
    502,
    'http_response_transfer_coding',
    false,
    'The transfer coding of the answer is not supported',
  ),
  http_response_content_coding: row(
    502,
    'http_response_content_coding',
    false,
    'The answer is encoded although identity was asked for, so no secret could be taken out',
  ),
  http_upgrade_failed: row(502, 'http_upgrade_failed', false, 'The destination answered an upgrade wrongly'),
  // the proxy itself
  audit_unavailable: row(503, 'proxy_internal_error', true, 'The audit record could not be written'),
  overload: row(503, 'proxy_internal_response', true, 'The proxy is at a limit'),
  draining: row(503, 'proxy_internal_response', true, 'The proxy is shutting down'),
  configuration_invalid: row(500, 'proxy_configuration_error', false, 'The configuration is invalid'),
  certificate_issuing_failed: row(
    503,
    'proxy_configuration_error',
    true,
    'No certificate could be issued for the destination',
  ),
  internal: row(500, 'proxy_internal_error', true, 'The proxy failed'),
});

export type ErrorCode = keyof typeof ERRORS;

export interface EgressErrorOptions {
  /** A sentence part for audit and workload: no secret, no address, no Vault path. */
  readonly detail?: string;
  /** Stays inside the process. */
  readonly cause?: unknown;
  /** When a retry makes sense, in `ms` from now. */
  readonly retryAfterMs?: number;
}

export class EgressError extends Error {
  override readonly name = 'EgressError';
  readonly code: ErrorCode;
  readonly detail: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, options: EgressErrorOptions = {}) {
    super(options.detail === undefined ? code : `${code}: ${options.detail}`, { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** An EgressError stays itself; anything else becomes `internal` with the original as cause. */
export function toEgressError(thrown: unknown): EgressError {
  return thrown instanceof EgressError ? thrown : new EgressError('internal', { cause: thrown });
}
