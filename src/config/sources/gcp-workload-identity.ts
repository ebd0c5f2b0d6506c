/** Duty: `spec.gcpWorkloadIdentity`: its words and what they mean. */
import { z } from 'zod';
import type { GcpWorkloadIdentitySourceOptions } from '../../credential/options.ts';
import { duration, list, spelled, text } from '../shapes.ts';
import { baseUrl, checkedUrl, endpointOf, lifetimeOf } from './provider-shape.ts';
import type { SourceDocument } from './source-document.ts';

export const gcpWorkloadIdentityShape = z.strictObject({
  provider: spelled(
    'the full name of a workload identity provider',
    /^\/\/iam\.[a-z0-9.-]{1,100}\/projects\/[0-9]{1,20}\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{1,32}\/providers\/[a-z0-9-]{1,32}$/,
    '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/agents/providers/countersign',
  ),
  scopes: list(spelled('a scope', /^[\x21-\x7e]{1,300}$/, 'https://www.googleapis.com/auth/cloud-platform')).optional(),
  serviceAccount: spelled(
    'the address of a service account',
    /^[A-Za-z0-9._-]{1,100}@[a-z0-9.-]{1,200}$/,
    'agents@my-project.iam.gserviceaccount.com',
  ).optional(),
  ttl: duration.optional(),
  audience: list(text).optional(),
  baseUrl: baseUrl.optional(),
  credentialsBaseUrl: baseUrl.optional(),
  caFile: text.optional(),
});

const DEFAULT_SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

export function compileGcpWorkloadIdentity(
  gcp: z.infer<typeof gcpWorkloadIdentityShape>,
  source: SourceDocument,
): GcpWorkloadIdentitySourceOptions {
  for (const key of ['ttl', 'credentialsBaseUrl'] as const) {
    if (gcp[key] !== undefined && gcp.serviceAccount === undefined)
      source.refuseKey([key], `${key} is for the token of a service account`, 'name a serviceAccount, or remove it');
  }
  const lifetimeMs = lifetimeOf(source, gcp.ttl, '1h', ['5m', '12h']);
  const credentials = 'https://iamcredentials.googleapis.com';
  const impersonation =
    gcp.serviceAccount === undefined
      ? null
      : {
          serviceAccount: gcp.serviceAccount,
          lifetimeMs,
          baseUrl: checkedUrl(source, 'credentialsBaseUrl', gcp.credentialsBaseUrl, credentials),
        };
  return {
    kind: 'gcpWorkloadIdentity',
    name: source.name,
    ...endpointOf(source, gcp, 'https://sts.googleapis.com'),
    provider: gcp.provider,
    // What a provider takes where none is configured with it.
    audience: gcp.audience ?? [`https:${gcp.provider}`],
    scopes: gcp.scopes ?? [DEFAULT_SCOPE],
    impersonation,
  };
}
