/**
 * Duty: how this proxy logs in at the one of its network.
 * In → Out: username, file of the password → the value of Proxy-Authorization, as bytes.
 * Holds: the file is read at every use, so that a new password counts at once; nothing of it becomes a string.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Source: RFC 7617 §2.
 */
import { basicLength, writeBasic } from '../../core/basic.ts';
import { allocateSecretBytes } from '../../core/secret.ts';
import type { CorporateProxyOptions } from '../../upstream/options.ts';
import { type KeptFileParts, keptFile } from './kept-secret.ts';

/** The caller zeroes the bytes. @throws EgressError */
export type ProxyLogin = (signal: AbortSignal) => Promise<Buffer>;

const PREFIX = Buffer.from('Basic ', 'latin1');

/** Null where none is asked for. */
export function createProxyLogin(
  proxy: CorporateProxyOptions | null | undefined,
  parts: KeptFileParts,
): ProxyLogin | null {
  const login = proxy?.login ?? null;
  if (login === null) return null;
  const username = Buffer.from(login.username, 'utf8');
  return async (signal) => {
    const password = await keptFile(login.password, parts, signal);
    const value = allocateSecretBytes(PREFIX.length + basicLength(username.length, password.byteLength));
    value.set(PREFIX);
    writeBasic(username, password.reveal(), value, PREFIX.length);
    password.destroy();
    return value;
  };
}
