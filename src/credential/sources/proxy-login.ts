/**
 * Duty: how this proxy logs in at the one of its network.
 * In → Out: username, file of the password → the value of Proxy-Authorization, as bytes.
 * Holds: the file is read at every use, so that a new password counts at once; nothing of it becomes a string.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Source: RFC 7617 §2.
 */
import { base64Length, writeBase64 } from '../../core/base64.ts';
import type { Clock } from '../../core/clock.ts';
import { allocateSecretBytes } from '../../core/secret.ts';
import type { CorporateProxyOptions } from '../../upstream/options.ts';
import { keptSecret } from './kept-secret.ts';
import { Variables } from './variables.ts';

export interface ProxyLoginParts {
  readonly ownUid: number;
  readonly clock: Clock;
}

/** The caller zeroes the bytes. @throws EgressError */
export type ProxyLogin = (signal: AbortSignal) => Promise<Buffer>;

const PREFIX = Buffer.from('Basic ', 'latin1');
const COLON = 0x3a;
const NO_VARIABLES = new Variables(() => null);

/** Null where none is asked for. */
export function createProxyLogin(
  proxy: CorporateProxyOptions | null | undefined,
  { ownUid, clock }: ProxyLoginParts,
): ProxyLogin | null {
  const login = proxy?.login ?? null;
  if (login === null) return null;
  const username = Buffer.from(login.username, 'utf8');
  return async (signal) => {
    const password = await keptSecret(
      { kind: 'file', ...login.password },
      { ownUid, clock, variables: NO_VARIABLES },
      signal,
    );
    const plain = allocateSecretBytes(username.length + 1 + password.byteLength);
    plain.set(username);
    plain[username.length] = COLON;
    plain.set(password.reveal(), username.length + 1);
    password.destroy();
    const value = allocateSecretBytes(PREFIX.length + base64Length(plain.length));
    value.set(PREFIX);
    writeBase64(plain, value, PREFIX.length);
    plain.fill(0);
    return value;
  };
}
