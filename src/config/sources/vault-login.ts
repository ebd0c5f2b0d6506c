/**
 * Duty: `spec.vault.auth` with what belongs to it: its words and what they mean.
 * Holds: one method; a word that the method does not know is refused, not ignored; whoever logs in as the proxy is told so.
 */
import { z } from 'zod';
import type { CertificateFiles, VaultLoginOptions } from '../../credential/options.ts';
import { list, mount, spelled, text } from '../shapes.ts';
import { keptIn, keptShape } from './kept-shape.ts';
import type { SourceDocument } from './source-document.ts';

const place = { path: mount.optional() };

const METHODS = {
  jwt: z.strictObject({ ...place, forward: z.boolean().optional() }),
  kubernetes: z.strictObject({ ...place, tokenFile: text.optional(), forward: z.boolean().optional() }),
  approle: z.strictObject({
    ...place,
    roleId: spelled('a role id', /^[\x21-\x7e]{1,256}$/, '675a50e7-cfe0-be76-e35f-49ec009731ea'),
    secretId: keptShape.optional(),
    wrappedSecretId: keptShape.optional(),
  }),
  cert: z.strictObject(place),
  'token-file': z.strictObject({ file: text, groupReadable: z.boolean().optional() }),
};

type Method = keyof typeof METHODS;

/** Keys of `spec.vault`. */
export const LOGIN_SHAPE = {
  jwtAuthMethodPath: mount.optional(),
  auth: z
    .strictObject({
      jwt: METHODS.jwt.optional(),
      kubernetes: METHODS.kubernetes.optional(),
      approle: METHODS.approle.optional(),
      cert: METHODS.cert.optional(),
      'token-file': METHODS['token-file'].optional(),
    })
    .optional(),
  role: text.optional(),
  audience: list(text).optional(),
  revocation: z.strictObject({ role: text.optional() }).optional(),
  clientCertificate: z
    .strictObject({ certificateFile: text, keyFile: text, groupReadable: z.boolean().optional() })
    .optional(),
};

const loginShape = z.strictObject(LOGIN_SHAPE);
type Given = z.infer<typeof loginShape>;

export interface VaultLogins {
  readonly auth: VaultLoginOptions;
  readonly revocation?: VaultLoginOptions;
  readonly clientCertificate?: CertificateFiles;
}

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const DEFAULT_AUDIENCE = 'vault';
/** Whether the method logs in at a role: at one that must be named, or may be, or at none. */
const ROLES: Readonly<Record<Method, 'needed' | 'possible' | 'none'>> = {
  jwt: 'needed',
  kubernetes: 'needed',
  approle: 'possible',
  cert: 'possible',
  'token-file': 'none',
};

export function compileLogins(given: Given, source: SourceDocument): VaultLogins {
  const method = methodOf(given, source);
  checkRole(method, given, source);
  const isForwarded = given.auth?.jwt?.forward === true || given.auth?.kubernetes?.forward === true;
  if (isForwarded) checkForwarded(method, given, source);
  if (given.audience !== undefined && (method !== 'jwt' || isForwarded))
    source.refuseKey(['audience'], 'it is not the proxy that makes the token of this login', 'leave audience out');
  if (method !== 'jwt' && !isForwarded)
    source.warn(
      ['auth', method],
      'Vault sees the proxy, whoever calls, and cannot tell workloads apart: bindings and paths here are all that does; auth: { jwt: {} } logs in as the workload',
    );
  if (method === 'cert' && given.clientCertificate === undefined)
    source.refuse(['auth', 'cert'], 'there is no certificate to log in with', 'add clientCertificate');
  const auth = loginOf(method, given, source);
  const revocation = revocationOf(auth, method, given, source);
  const { clientCertificate: own } = given;
  return {
    auth,
    ...(revocation === null ? {} : { revocation }),
    ...(own === undefined
      ? {}
      : {
          clientCertificate: {
            certificateFile: source.resolve(own.certificateFile),
            keyFile: source.resolve(own.keyFile),
            isGroupReadable: own.groupReadable ?? false,
          },
        }),
  };
}

function methodOf({ jwtAuthMethodPath, auth }: Given, source: SourceDocument): Method {
  if (auth === undefined) return 'jwt';
  const [first, ...others] = Object.keys(auth) as Method[];
  if (jwtAuthMethodPath !== undefined)
    source.refuseKey(['auth'], 'the auth method is given twice', 'keep jwtAuthMethodPath or auth');
  if (first === undefined)
    source.refuse(['auth'], '"auth" is empty', `write one of ${Object.keys(METHODS).join(', ')}`);
  if (others.length > 0) source.refuse(['auth'], `${[first, ...others].join(' and ')} exclude each other`, 'keep one');
  return first ?? 'jwt';
}

function checkRole(method: Method, { role, auth }: Given, source: SourceDocument): void {
  const isWrapped = auth?.approle?.wrappedSecretId !== undefined;
  const rule = method === 'approle' && isWrapped ? 'needed' : ROLES[method];
  if (role === undefined) {
    if (rule === 'needed')
      source.refuse([], '"role" is missing', `add the role of the auth method at which ${method} logs in`);
  } else if (rule === 'none')
    source.refuseKey(['role'], 'a token that is there already has no role to log in at', 'leave role out');
  else if (method === 'approle' && !isWrapped)
    source.refuseKey(['role'], 'AppRole knows the role by roleId', 'leave role out; wrappedSecretId alone needs it');
}

function checkForwarded(method: Method, given: Given, source: SourceDocument): void {
  if (given.auth?.kubernetes?.tokenFile !== undefined)
    source.refuseKey(
      ['auth', 'kubernetes', 'tokenFile'],
      'the token is the workload’s own',
      'leave out tokenFile, or forward',
    );
  if (given.revocation !== undefined)
    source.refuseKey(['revocation'], 'the proxy has no token of its own for this login', 'leave revocation out');
  if (source.around.hasWorkers)
    source.refuse(
      ['auth', method, 'forward'],
      'the token stays in the worker that verified it',
      'leave workers out of the Proxy document',
    );
}

function loginOf(method: Method, given: Given, source: SourceDocument): VaultLoginOptions {
  const { auth, jwtAuthMethodPath, role = '', audience } = given;
  switch (method) {
    case 'jwt': {
      const path = jwtAuthMethodPath ?? auth?.jwt?.path ?? 'jwt';
      if (auth?.jwt?.forward === true) return { kind: 'forwarded', mount: path, role };
      return { kind: 'jwt', mount: path, role, audience: audience ?? [DEFAULT_AUDIENCE] };
    }
    case 'kubernetes': {
      const { path, tokenFile, forward } = auth?.kubernetes ?? {};
      if (forward === true) return { kind: 'forwarded', mount: path ?? 'kubernetes', role };
      const file = tokenFile === undefined ? SERVICE_ACCOUNT_TOKEN : source.resolve(tokenFile);
      return { kind: 'kubernetes', mount: path ?? 'kubernetes', role, tokenFile: file };
    }
    case 'approle':
      return approleOf(given, source);
    case 'cert':
      return { kind: 'cert', mount: auth?.cert?.path ?? 'cert', role: given.role ?? null };
    case 'token-file': {
      const { file = '', groupReadable } = auth?.['token-file'] ?? {};
      const path = source.resolve(file);
      return { kind: 'tokenFile', file: { kind: 'file', path, isGroupReadable: groupReadable ?? false } };
    }
  }
}

function approleOf({ auth, role = '' }: Given, source: SourceDocument): VaultLoginOptions {
  const { path: at = 'approle', roleId = '', secretId, wrappedSecretId } = auth?.approle ?? {};
  if (secretId !== undefined && wrappedSecretId !== undefined)
    source.refuseKey(['auth', 'approle', 'wrappedSecretId'], 'the secret id is given twice', 'keep one of the two');
  const common = { kind: 'approle', mount: at, roleId } as const;
  if (wrappedSecretId !== undefined) {
    const wrapping = keptIn(['auth', 'approle', 'wrappedSecretId'], wrappedSecretId, source);
    return { ...common, secretId: wrapping, wrappedAt: `auth/${at}/role/${role}/secret-id` };
  }
  const kept = secretId === undefined ? null : keptIn(['auth', 'approle', 'secretId'], secretId, source);
  return { ...common, secretId: kept, wrappedAt: null };
}

function revocationOf(
  auth: VaultLoginOptions,
  method: Method,
  { revocation }: Given,
  source: SourceDocument,
): VaultLoginOptions | null {
  if (revocation === undefined) return null;
  const { role } = revocation;
  if (auth.kind !== 'jwt' && auth.kind !== 'kubernetes') {
    if (role !== undefined)
      source.refuseKey(
        ['revocation', 'role'],
        `${method} has one login`,
        'write revocation: {}, and let that login revoke',
      );
    return auth;
  }
  if (role === undefined)
    source.refuse(['revocation'], '"role" is missing', 'name a role that may revoke, for the proxy itself');
  if (role?.includes('{{') === true)
    source.refuse(
      ['revocation', 'role'],
      'the role is for the proxy itself and names no workload',
      'write a plain name',
    );
  return { ...auth, role: role ?? '' };
}
