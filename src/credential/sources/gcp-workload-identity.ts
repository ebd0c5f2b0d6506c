/**
 * Duty: a Google access token, for the token that says who the workload is.
 * In → Out: Workload → its token → Google's STS → a federated token → (service account credentials API) → `Grant`.
 * Holds: where a service account is impersonated, the federated token is used for that alone and destroyed. Google cannot
 *   take a token back: it ends by itself.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: RFC 8693; Google Cloud STS v1 `token`; IAM Service Account Credentials v1 `generateAccessToken`.
 */
import type { Clock } from '../../core/clock.ts';
import type { Secret } from '../../core/secret.ts';
import type { Workload } from '../../workload/workload.ts';
import type { GcpWorkloadIdentitySourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { FORM_TYPE, writeForm } from './form.ts';
import { heldGrant } from './held.ts';
import type { HttpsCaller } from './https-call.ts';
import { inAnswer, lifetimeMsAt, momentAt, restMs, secretAt } from './issued.ts';
import { type FailureTable, failureOf } from './provider-failure.ts';

export interface GcpWorkloadIdentityParts {
  readonly options: GcpWorkloadIdentitySourceOptions;
  /** Of `options.baseUrl`. */
  readonly caller: HttpsCaller;
  /** Of `options.impersonation.baseUrl`; null where nobody is impersonated. */
  readonly impersonator: HttpsCaller | null;
  readonly clock: Clock;
  /** A workload token (JWT) for that audience; the source destroys it. */
  mintToken(workload: Workload, audience: readonly string[]): Promise<Secret>;
}

interface Issued {
  readonly token: Secret;
  readonly expiresAtMonotonicMs: number;
}

/** What a federated token needs to ask for another one. */
const PLATFORM_SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const denied = (detail: string) => ({ code: 'credential_denied', detail }) as const;

const FAILURES: FailureTable = {
  invalid_grant: denied(
    'Google does not accept the workload token: check issuer, audience and condition of the provider',
  ),
  invalid_target: denied('Google knows no such workload identity provider'),
  invalid_scope: denied('Google knows no such scope'),
  unauthorized_client: denied('the workload identity provider refuses the workload'),
  PERMISSION_DENIED: denied('the workload may not impersonate the service account'),
  NOT_FOUND: denied('the service account does not exist, or hides itself'),
  RESOURCE_EXHAUSTED: { code: 'credential_unavailable', detail: 'Google limits requests' },
};

export function createGcpWorkloadIdentitySource(parts: GcpWorkloadIdentityParts): CredentialSource {
  return { name: parts.options.name, fetch: (workload, signal) => fetchGrant(parts, workload, signal) };
}

async function fetchGrant(parts: GcpWorkloadIdentityParts, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const federated = await exchange(parts, workload, signal);
  const { impersonation } = parts.options;
  if (impersonation === null || parts.impersonator === null) return grantOf(federated);
  try {
    return grantOf(await impersonate(parts, parts.impersonator, impersonation, federated.token, signal));
  } finally {
    federated.token.destroy();
  }
}

const grantOf = ({ token, expiresAtMonotonicMs }: Issued): Grant =>
  heldGrant(new Map([['key', token]]), expiresAtMonotonicMs);

async function exchange(parts: GcpWorkloadIdentityParts, workload: Workload, signal: AbortSignal): Promise<Issued> {
  const { options, caller, clock } = parts;
  const jwt = await parts.mintToken(workload, options.audience);
  const bytes = formOf(options, jwt);
  try {
    const startMs = clock.monotonicMs();
    const body = { type: FORM_TYPE, bytes };
    const request = { method: 'POST', path: '/v1/token', fields: [], bearer: null, body, isRepeatable: true } as const;
    const reply = await caller.call(request, signal);
    if (reply.status !== 200) throw failureOf(reply, FAILURES);
    return inAnswer(reply.body, ['access_token'], (answer, keep) => ({
      token: secretAt(answer, 'access_token', 'key', keep),
      expiresAtMonotonicMs: startMs + lifetimeMsAt(answer, 'expires_in'),
    }));
  } finally {
    bytes.fill(0);
  }
}

function formOf({ provider, scopes, impersonation }: GcpWorkloadIdentitySourceOptions, jwt: Secret): Buffer {
  try {
    return writeForm({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: provider,
      scope: impersonation === null ? scopes.join(' ') : PLATFORM_SCOPE,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: jwt,
    });
  } finally {
    jwt.destroy();
  }
}

async function impersonate(
  { options, clock }: GcpWorkloadIdentityParts,
  caller: HttpsCaller,
  { serviceAccount, lifetimeMs }: NonNullable<GcpWorkloadIdentitySourceOptions['impersonation']>,
  bearer: Secret,
  signal: AbortSignal,
): Promise<Issued> {
  const startMs = clock.monotonicMs();
  const path = `/v1/projects/-/serviceAccounts/${encodeURIComponent(serviceAccount)}:generateAccessToken`;
  const asked = { scope: options.scopes, lifetime: `${Math.floor(lifetimeMs / 1000)}s` };
  const body = { type: 'application/json', bytes: Buffer.from(JSON.stringify(asked)) };
  const request = { method: 'POST', path, fields: [], bearer, body, isRepeatable: true } as const;
  const reply = await caller.call(request, signal);
  if (reply.status !== 200) throw failureOf(reply, FAILURES);
  return inAnswer(reply.body, ['accessToken'], (answer, keep) => ({
    token: secretAt(answer, 'accessToken', 'key', keep),
    expiresAtMonotonicMs: startMs + restMs(clock, momentAt(answer, 'expireTime'), lifetimeMs),
  }));
}
