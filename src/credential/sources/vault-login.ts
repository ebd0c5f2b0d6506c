/**
 * Duty: a Vault token, obtained in the way that the source names.
 * In → Out: Workload → `VaultToken`.
 * Holds: what proves who logs in is read anew for each login and destroyed after it; a wrapped secret id alone is kept, for it
 *   can be unwrapped only once; a token that somebody else owns is never revoked or renewed here.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: Vault API, "Auth methods": jwt, kubernetes, approle, cert; "Response wrapping".
 * Not here: what is read with the token (vault.ts).
 */
import { readFile } from 'node:fs/promises';
import { isBase64UrlByte } from '../../core/base64.ts';
import { EgressError, toEgressError } from '../../core/errors.ts';
import { Secret, withoutBlankEnd } from '../../core/secret.ts';
import type { VaultClient, VaultToken } from '../../vault/client.ts';
import { borrowedToken } from '../../vault/reply.ts';
import type { Workload } from '../../workload/workload.ts';
import type { VaultLoginOptions } from '../options.ts';
import { expandTemplate } from '../template.ts';
import { keptSecret } from './kept-secret.ts';
import type { SourceParts } from './source-parts.ts';
import type { WrappedSecretIds } from './wrapped-secret-ids.ts';

export interface VaultLoginParts extends Pick<SourceParts, 'clock' | 'ownUid' | 'variables' | 'mintToken'> {
  readonly client: VaultClient;
  readonly secretIds: WrappedSecretIds;
}

/** Whoever got the token destroys its secret. @throws EgressError `credential_*`. */
export type VaultLogin = (workload: Workload, signal: AbortSignal) => Promise<VaultToken>;

type Options<K extends VaultLoginOptions['kind']> = Extract<VaultLoginOptions, { readonly kind: K }>;

export function createVaultLogin(options: VaultLoginOptions, parts: VaultLoginParts): VaultLogin {
  return async (workload, signal) =>
    options.kind === 'tokenFile' ? borrow(options, parts, signal) : logIn(options, parts, workload, signal);
}

function logIn(
  options: Exclude<VaultLoginOptions, Options<'tokenFile'>>,
  parts: VaultLoginParts,
  workload: Workload,
  signal: AbortSignal,
): Promise<VaultToken> {
  switch (options.kind) {
    case 'jwt':
      return asWorkload(options, parts, workload, signal);
    case 'forwarded':
      return asItself(options, parts, workload, signal);
    case 'kubernetes':
      return asPod(options, parts, workload, signal);
    case 'approle':
      return asRole(options, parts, signal);
    case 'cert': {
      const proof = options.role === null ? {} : { name: expandTemplate(options.role, workload) };
      return parts.client.login(options.mount, proof, signal);
    }
  }
}

async function asWorkload(
  { mount, role, audience }: Options<'jwt'>,
  { client, mintToken }: VaultLoginParts,
  workload: Workload,
  signal: AbortSignal,
): Promise<VaultToken> {
  const proof = { role: expandTemplate(role, workload) };
  const jwt = await mintToken(workload, audience);
  return client.login(mount, { ...proof, jwt }, signal).finally(() => jwt.destroy());
}

async function asItself(
  { mount, role }: Options<'forwarded'>,
  { client }: VaultLoginParts,
  workload: Workload,
  signal: AbortSignal,
): Promise<VaultToken> {
  if (workload.presented === undefined)
    throw new EgressError('credential_denied', {
      detail: 'the workload did not identify itself by a token of its own, so there is none to log in with',
    });
  if (workload.presented.isDestroyed)
    // Not the end of the lease: the next request may bring another.
    throw new EgressError('credential_denied', {
      detail: 'the token by which the workload identified itself has ended; it must connect with a new one',
      retryAfterMs: 1000,
    });
  const proof = { role: expandTemplate(role, workload) };
  const jwt = workload.presented.clone();
  return client.login(mount, { ...proof, jwt }, signal).finally(() => jwt.destroy());
}

async function asPod(
  { mount, role, tokenFile }: Options<'kubernetes'>,
  { client }: VaultLoginParts,
  workload: Workload,
  signal: AbortSignal,
): Promise<VaultToken> {
  const proof = { role: expandTemplate(role, workload) };
  const jwt = await serviceAccountToken(tokenFile);
  return client.login(mount, { ...proof, jwt }, signal).finally(() => jwt.destroy());
}

/** The kubelet writes it readable for the whole pod, so owner and mode say nothing. */
async function serviceAccountToken(path: string): Promise<Secret> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new EgressError('credential_unavailable', {
      detail: 'the token of the service account cannot be read; does the pod mount one?',
      cause,
      retryAfterMs: 1000,
    });
  });
  const token = Secret.copyOf(withoutBlankEnd(bytes));
  bytes.fill(0);
  if (isJwt(token.reveal())) return token;
  token.destroy();
  throw new EgressError('credential_invalid', { detail: 'the file of the service account holds no token' });
}

/** Three parts in base64url (RFC 7515 §2). */
function isJwt(bytes: Buffer): boolean {
  let dots = 0;
  for (const byte of bytes) {
    if (byte === 0x2e) dots += 1;
    else if (!isBase64UrlByte(byte)) return false;
  }
  return dots === 2 && bytes.length > 4;
}

async function asRole(
  { mount, roleId, secretId, wrappedAt }: Options<'approle'>,
  parts: VaultLoginParts,
  signal: AbortSignal,
): Promise<VaultToken> {
  const { client, secretIds } = parts;
  if (secretId === null) return client.login(mount, { role_id: roleId }, signal);
  const kept = await keptSecret(secretId, parts, signal);
  const proof =
    wrappedAt === null ? kept : await secretIds.unwrapped(kept, { client, wrappedAt }).finally(() => kept.destroy());
  return client.login(mount, { role_id: roleId, secret_id: proof }, signal).finally(() => proof.destroy());
}

/** Where its policy does not let it look at itself, nothing is known of its end, and that of the lease counts. */
async function borrow(
  { file }: Options<'tokenFile'>,
  parts: VaultLoginParts,
  signal: AbortSignal,
): Promise<VaultToken> {
  const token = await keptSecret(file, parts, signal);
  try {
    return await parts.client.lookupSelf(token, signal);
  } catch (thrown) {
    if (toEgressError(thrown).code === 'credential_denied') return borrowedToken(token);
    token.destroy();
    throw thrown;
  }
}
