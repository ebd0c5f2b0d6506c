/** Duty: `spec.azureFederated`: its words and what they mean. */
import { z } from 'zod';
import type { AzureFederatedSourceOptions } from '../../credential/options.ts';
import { list, spelled, text } from '../shapes.ts';
import { baseUrl, endpointOf } from './provider-shape.ts';
import type { SourceDocument } from './source-document.ts';

export const azureFederatedShape = z.strictObject({
  tenant: spelled(
    'the id or a domain of a tenant',
    /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])$/,
    'contoso.onmicrosoft.com',
  ),
  clientId: spelled(
    'the id of an application',
    /^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/,
    '11111111-2222-3333-4444-555555555555',
  ),
  scope: spelled(
    'a scope that ends in /.default',
    /^[\x21-\x7e]{1,300}\/\.default$/,
    'https://cognitiveservices.azure.com/.default',
  ),
  audience: list(text).optional(),
  baseUrl: baseUrl.optional(),
  caFile: text.optional(),
});

const DEFAULT_AUDIENCE = 'api://AzureADTokenExchange';

export function compileAzureFederated(
  azure: z.infer<typeof azureFederatedShape>,
  source: SourceDocument,
): AzureFederatedSourceOptions {
  if (source.around.tokensAreEs256)
    source.warn(
      [],
      'Microsoft Entra takes no token that is signed with ES256; write issuer.algorithm: RS256 in the Proxy document',
    );
  return {
    kind: 'azureFederated',
    name: source.name,
    ...endpointOf(source, azure, 'https://login.microsoftonline.com'),
    tenant: azure.tenant,
    clientId: azure.clientId,
    scope: azure.scope,
    audience: azure.audience ?? [DEFAULT_AUDIENCE],
  };
}
