/**
 * Duty: a Microsoft Entra access token, for the token that says who the workload is.
 * In → Out: Workload → its token as client assertion → Entra's token endpoint → `Grant`.
 * Holds: there is no client secret. Entra cannot take a token back: it ends by itself.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: RFC 7523 §2.2; Microsoft identity platform, client credentials with a federated credential, AADSTS error codes.
 */
import type { Clock } from '../../core/clock.ts';
import type { Secret } from '../../core/secret.ts';
import type { Workload } from '../../workload/workload.ts';
import type { AzureFederatedSourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { FORM_TYPE, writeForm } from './form.ts';
import { heldGrant } from './held.ts';
import type { HttpsCaller } from './https-call.ts';
import { inAnswer, lifetimeMsAt, secretAt } from './issued.ts';
import { type FailureTable, failureOf } from './provider-failure.ts';

export interface AzureFederatedParts {
  readonly options: AzureFederatedSourceOptions;
  /** Of `options.baseUrl`. */
  readonly caller: HttpsCaller;
  readonly clock: Clock;
  /** A workload token (JWT) for that audience; the source destroys it. */
  mintToken(workload: Workload, audience: readonly string[]): Promise<Secret>;
}

const denied = (detail: string) => ({ code: 'credential_denied', detail }) as const;

const FAILURES: FailureTable = {
  5002738: denied(
    'Entra does not take tokens that are signed with ES256; write issuer.algorithm: RS256 in the Proxy document',
  ),
  70021: denied('Entra has no federated credential for the issuer, subject and audience of the workload token'),
  700211: denied('Entra has no federated credential for the issuer of workload tokens'),
  700212: denied('Entra has no federated credential for the audience of the workload token'),
  700213: denied('Entra has no federated credential for the SPIFFE ID of the workload'),
  700016: denied('Entra knows no such application in the tenant'),
  90002: denied('Entra knows no such tenant'),
  700024: {
    code: 'credential_unavailable',
    detail: 'the workload token was not valid when Entra read it; compare the clock of this machine',
  },
  invalid_client: denied(
    'Entra does not accept the workload token: check issuer, subject and audience of the federated credential',
  ),
  unauthorized_client: denied('Entra knows no such application in the tenant'),
  invalid_scope: denied('Entra knows no such scope; it ends in /.default'),
  invalid_resource: denied('Entra knows no such resource, or the application may not use it'),
  invalid_request: denied('Entra refused the request as wrong: check tenant, client id and scope'),
  temporarily_unavailable: { code: 'credential_unavailable', detail: 'Entra is overloaded' },
};

export function createAzureFederatedSource(parts: AzureFederatedParts): CredentialSource {
  return { name: parts.options.name, fetch: (workload, signal) => fetchGrant(parts, workload, signal) };
}

async function fetchGrant(parts: AzureFederatedParts, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const { options, caller, clock } = parts;
  const bytes = formOf(options, await parts.mintToken(workload, options.audience));
  try {
    const startMs = clock.monotonicMs();
    const path = `/${encodeURIComponent(options.tenant)}/oauth2/v2.0/token`;
    const body = { type: FORM_TYPE, bytes };
    const request = { method: 'POST', path, fields: [], bearer: null, body, isRepeatable: true } as const;
    const reply = await caller.call(request, signal);
    if (reply.status !== 200) throw failureOf(reply, FAILURES);
    return inAnswer(reply.body, ['access_token'], (answer, keep) => {
      const parts = new Map([['key', secretAt(answer, 'access_token', 'key', keep)]] as const);
      return heldGrant(parts, startMs + lifetimeMsAt(answer, 'expires_in'));
    });
  } finally {
    bytes.fill(0);
  }
}

function formOf({ clientId, scope }: AzureFederatedSourceOptions, jwt: Secret): Buffer {
  try {
    return writeForm({
      grant_type: 'client_credentials',
      client_id: clientId,
      scope,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: jwt,
    });
  } finally {
    jwt.destroy();
  }
}
