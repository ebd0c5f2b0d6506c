/**
 * Duty: how sources are made that call a provider's API.
 * Holds: their code is loaded at the first use, but for what has to begin at once.
 * Not here: the other kinds (makers.ts).
 */
import { loadedLater, loadedNow } from './loaded-later.ts';
import type { Maker } from './makers.ts';

type ProviderKind = 'openaiAdmin' | 'awsWebIdentity' | 'gcpWorkloadIdentity' | 'azureFederated';

export const PROVIDER_MAKERS: { readonly [K in ProviderKind]: Maker<K> } = {
  openaiAdmin: (options, parts) =>
    loadedNow(options.name, async () => {
      const { createOpenaiAdminSource } = await import('./openai-admin.ts');
      const { clock, ownUid, onSourceEvent: observe = ignore } = parts;
      return createOpenaiAdminSource({ options, clock, ownUid, observe, caller: parts.httpsCaller(options) });
    }),
  awsWebIdentity: (options, parts) =>
    loadedLater(options.name, async () => {
      const { createAwsWebIdentitySource } = await import('./aws-web-identity.ts');
      return createAwsWebIdentitySource({ ...parts, options, caller: parts.httpsCaller(options) });
    }),
  gcpWorkloadIdentity: (options, parts) =>
    loadedLater(options.name, async () => {
      const { createGcpWorkloadIdentitySource } = await import('./gcp-workload-identity.ts');
      const { impersonation, caFile } = options;
      const impersonator =
        impersonation === null ? null : parts.httpsCaller({ baseUrl: impersonation.baseUrl, caFile });
      return createGcpWorkloadIdentitySource({ ...parts, options, caller: parts.httpsCaller(options), impersonator });
    }),
  azureFederated: (options, parts) =>
    loadedLater(options.name, async () => {
      const { createAzureFederatedSource } = await import('./azure-federated.ts');
      return createAzureFederatedSource({ ...parts, options, caller: parts.httpsCaller(options) });
    }),
};

function ignore(): void {}
