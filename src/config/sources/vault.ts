/**
 * Duty: `spec.vault`: its words and what they mean.
 * Holds: a template names only what exists; a path is below `/v1/` and has no way out of its place.
 */
import { z } from 'zod';
import type { VaultSourceOptions } from '../../credential/options.ts';
import { list, spelled, text } from '../shapes.ts';
import { type SourceDocument, type TemplateFault, withoutPlaces } from './source-document.ts';
import { compileLogins, LOGIN_SHAPE } from './vault-login.ts';

const CLEAR = 'logins and credentials cross the network in clear; use https';

/** Part of a credential → where the source has it. */
export const partsShape = z.strictObject({
  key: text.optional(),
  username: text.optional(),
  password: text.optional(),
  accessKeyId: text.optional(),
  secretAccessKey: text.optional(),
  sessionToken: text.optional(),
  certificate: text.optional(),
  privateKey: text.optional(),
});

const origin = spelled('an origin without path', /^https?:\/\/[^/?#@\s]{1,300}$/, 'https://vault-1.internal:8200');

export const vaultShape = z.strictObject({
  address: spelled(
    'an origin without path, or "sandbox"',
    /^(?:sandbox|https?:\/\/[^/?#@\s]{1,300})$/,
    'https://vault.internal:8200',
  ),
  namespace: text.optional(),
  caFile: text.optional(),
  redirects: list(origin).optional(),
  ...LOGIN_SHAPE,
  path: text,
  method: z.enum(['GET', 'POST']).optional(),
  parameters: z.record(z.string(), text).optional(),
  fields: partsShape.optional(),
});

export function compileVault(vault: z.infer<typeof vaultShape>, source: SourceDocument): VaultSourceOptions {
  checkAddress(vault.address, source);
  for (const key of ['role', 'path'] as const) {
    const given = vault[key];
    if (given === undefined || !source.checkTemplate([key], key, given)) continue;
    const fault = segmentFault(given, key === 'path');
    if (fault !== null) source.refuse([key], `the ${key} ${fault.fault}`, fault.hint);
  }
  for (const [i, each] of (vault.redirects ?? []).entries())
    source.checkOrigin(['redirects', i], each, 'https://vault-1.internal:8200', CLEAR);
  return {
    kind: 'vault',
    name: source.name,
    address: vault.address,
    namespace: vault.namespace ?? null,
    caFile: source.roots(['caFile'], vault.caFile),
    ...compileLogins(vault, source),
    ...(vault.redirects === undefined ? {} : { redirects: vault.redirects }),
    path: vault.path,
    method: vault.method ?? 'GET',
    parameters: { ...vault.parameters },
    fields: source.mapping(['fields'], vault.fields),
  };
}

function checkAddress(address: string, source: SourceDocument): void {
  if (address !== 'sandbox') {
    source.checkOrigin(['address'], address, 'https://vault.internal:8200', CLEAR);
  } else if (!source.around.hasSandbox) {
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
