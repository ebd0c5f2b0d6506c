/**
 * Duty: `spec.vault`: its words and what they mean.
 * Holds: a template names only what exists; a path is below `/v1/` and has no way out of its place.
 */
import { z } from 'zod';
import type { VaultSourceOptions } from '../../credential/options.ts';
import { list, mount, spelled, text } from '../shapes.ts';
import { type SourceDocument, type TemplateFault, withoutPlaces } from './source-document.ts';

/** Part of a credential → where the source has it. */
export const partsShape = z.strictObject({
  key: text.optional(),
  username: text.optional(),
  password: text.optional(),
  accessKeyId: text.optional(),
  secretAccessKey: text.optional(),
  sessionToken: text.optional(),
});

export const vaultShape = z.strictObject({
  address: spelled(
    'an origin without path, or "sandbox"',
    /^(?:sandbox|https?:\/\/[^/?#@\s]{1,300})$/,
    'https://vault.internal:8200',
  ),
  namespace: text.optional(),
  caFile: text.optional(),
  jwtAuthMethodPath: mount.optional(),
  auth: z.strictObject({ jwt: z.strictObject({ path: mount.optional() }).optional() }).optional(),
  role: text,
  revocation: z.strictObject({ role: text }).optional(),
  path: text,
  method: z.enum(['GET', 'POST']).optional(),
  parameters: z.record(z.string(), text).optional(),
  audience: list(text).optional(),
  fields: partsShape.optional(),
});

const DEFAULT_MOUNT = 'jwt';
const DEFAULT_AUDIENCE = 'vault';

export function compileVault(vault: z.infer<typeof vaultShape>, source: SourceDocument): VaultSourceOptions {
  checkAddress(vault.address, source);
  for (const key of ['role', 'path'] as const) {
    if (!source.checkTemplate([key], key, vault[key])) continue;
    const fault = segmentFault(vault[key], key === 'path');
    if (fault !== null) source.refuse([key], `the ${key} ${fault.fault}`, fault.hint);
  }
  const { jwtAuthMethodPath, auth } = vault;
  if (jwtAuthMethodPath !== undefined && auth !== undefined)
    source.refuseKey(['auth'], 'the auth method is given twice', 'keep jwtAuthMethodPath or auth');
  if (auth !== undefined && auth.jwt === undefined)
    source.refuse(['auth'], '"jwt" is missing', 'write auth: { jwt: {} }');
  const revocationRole = vault.revocation?.role;
  if (revocationRole?.includes('{{') === true)
    source.refuse(
      ['revocation', 'role'],
      'the role is for the proxy itself and names no workload',
      'write a plain name',
    );
  return {
    kind: 'vault',
    name: source.name,
    address: vault.address,
    namespace: vault.namespace ?? null,
    caFile: source.roots(['caFile'], vault.caFile),
    auth: {
      kind: 'jwt',
      mount: jwtAuthMethodPath ?? auth?.jwt?.path ?? DEFAULT_MOUNT,
      role: vault.role,
      audience: vault.audience ?? [DEFAULT_AUDIENCE],
    },
    path: vault.path,
    method: vault.method ?? 'GET',
    parameters: { ...vault.parameters },
    fields: source.mapping(['fields'], vault.fields),
    ...(revocationRole === undefined ? {} : { revocationRole }),
  };
}

function checkAddress(address: string, source: SourceDocument): void {
  if (address !== 'sandbox') {
    const warning = 'logins and credentials cross the network in clear; use https';
    source.checkOrigin(['address'], address, 'https://vault.internal:8200', warning);
  } else if (!source.hasSandbox) {
    const hint = 'add "sandbox: {}" to the Proxy document, or write the address of your Vault';
    source.refuse(['address'], 'there is no sandbox', hint);
  }
}

function segmentFault(template: string, isPath: boolean): TemplateFault | null {
  const bare = withoutPlaces(template);
  if (bare.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')) {
    return {
      fault: 'has an empty or a dot segment',
      hint: isPath ? 'write it without a first or last slash, openai/creds/my-role' : 'write a plain name',
    };
  }
  if (isPath && bare.startsWith('v1/'))
    return { fault: 'begins with "v1/"', hint: 'write what follows it; /v1/ is added' };
  return isPath && /[?#\s]/.test(bare)
    ? { fault: 'has a query, a fragment or a space', hint: 'queries go under "parameters"' }
    : null;
}
