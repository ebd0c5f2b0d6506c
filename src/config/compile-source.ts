/**
 * Duty: CredentialSource documents → `CredentialSourceOptions`.
 * Holds: a template names only what exists; a path is below `/v1/` and has no way out of its place.
 * Not here: what the template becomes for a workload (credential/template.ts).
 */

import { parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { FileAccess } from './file-access.ts';
import { namespaceOf, qualify } from './names.ts';
import { nearest } from './nearest.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

const PLACES = ['workload.id', 'workload.spiffeId', 'workload.instance'];
const DEFAULT_MOUNT = 'jwt';
const DEFAULT_AUDIENCE = 'vault';
const LOOPBACK = /^(?:localhost|127\.[0-9.]+|::1)$/;

export interface SourceContext {
  readonly files: FileAccess;
  readonly hasSandbox: boolean;
  readonly problems: ProblemList;
}

export function compileSource(
  source: ShapedAs<'CredentialSource'>,
  { files, hasSandbox, problems }: SourceContext,
): CredentialSourceOptions {
  const { document, raw } = source;
  const { vault } = document.spec;
  const at = (...rest: string[]): Path => ['spec', 'vault', ...rest];
  checkAddress(source, hasSandbox, problems);
  for (const key of ['role', 'path'] as const) {
    const fault = templateFault(vault[key], key === 'path');
    if (fault !== null) problems.add(raw.at(at(key)), at(key), `the ${key} ${fault.fault}`, fault.hint);
  }
  const { jwtAuthMethodPath, auth } = vault;
  if (jwtAuthMethodPath !== undefined && auth !== undefined) {
    problems.add(raw.atKey(at('auth')), at('auth'), 'the auth method is given twice', 'keep jwtAuthMethodPath or auth');
  }
  if (auth !== undefined && auth.jwt === undefined)
    problems.add(raw.at(at('auth')), at('auth'), '"jwt" is missing', 'write auth: { jwt: {} }');
  const fields = Object.entries(vault.fields ?? {}).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  if (vault.fields !== undefined && fields.length === 0) {
    problems.add(
      raw.at(at('fields')),
      at('fields'),
      'the mapping is empty',
      'name a field, like { key: api_key }, or leave it out',
    );
  }
  const caFile = vault.caFile === undefined ? null : files.resolve(raw, vault.caFile);
  if (caFile !== null) files.readPem(raw, at('caFile'), caFile);
  return {
    kind: 'vault',
    name: qualify(namespaceOf(document.metadata), document.metadata.name),
    address: vault.address,
    namespace: vault.namespace ?? null,
    caFile,
    auth: {
      kind: 'jwt',
      mount: jwtAuthMethodPath ?? auth?.jwt?.path ?? DEFAULT_MOUNT,
      role: vault.role,
      audience: vault.audience ?? [DEFAULT_AUDIENCE],
    },
    path: vault.path,
    method: vault.method ?? 'GET',
    parameters: { ...vault.parameters },
    fields: fields.length === 0 ? null : Object.fromEntries(fields),
  };
}

function checkAddress(
  { document, raw }: ShapedAs<'CredentialSource'>,
  hasSandbox: boolean,
  problems: ProblemList,
): void {
  const path = ['spec', 'vault', 'address'];
  const { address } = document.spec.vault;
  if (address === 'sandbox') {
    if (!hasSandbox)
      problems.add(
        raw.at(path),
        path,
        'there is no sandbox',
        'add "sandbox: {}" to the Proxy document, or write the address of your Vault',
      );
    return;
  }
  const isPlain = address.startsWith('http:');
  try {
    const { host } = parseAuthority(address.slice(address.indexOf('//') + 2), isPlain ? 80 : 443);
    if (isPlain && !LOOPBACK.test(host)) {
      problems.warn(raw.at(path), path, 'logins and credentials cross the network in clear; use https');
    }
  } catch (thrown) {
    const detail = (thrown instanceof EgressError ? thrown.detail : null) ?? 'malformed';
    problems.add(
      raw.at(path),
      path,
      `${quoted(address)} is not an origin: ${detail}`,
      'write it like https://vault.internal:8200',
    );
  }
}

function templateFault(text: string, isPath: boolean): { readonly fault: string; readonly hint: string } | null {
  for (const [, name = ''] of text.matchAll(/\{\{\s*([^{}]*?)\s*\}\}/g)) {
    if (PLACES.includes(name)) continue;
    const near = nearest(name, PLACES);
    return {
      fault: `has the unknown name ${quoted(`{{${name}}}`)}`,
      hint: near === null ? `known are ${PLACES.join(', ')}` : `did you mean {{${near}}}?`,
    };
  }
  const bare = text.replace(/\{\{\s*[A-Za-z.]+\s*\}\}/g, 'x');
  if (/[{}]/.test(bare))
    return { fault: 'has a brace that belongs to no name', hint: 'names are written {{workload.id}}' };
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
