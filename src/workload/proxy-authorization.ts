/**
 * Duty: the token in a Proxy-Authorization field.
 * In → Out: field value → token, or null where it is of another scheme or malformed.
 * Source: RFC 7617 (Basic: the password is the token, the user name is for people), RFC 6750 §2.1 (Bearer).
 */
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
/** Tokens of Kubernetes and of identity providers have one to some thousand characters. */
const MAX_CREDENTIALS_LENGTH = 12_288;

export function tokenIn(credentials: string): string | null {
  if (credentials.length > MAX_CREDENTIALS_LENGTH) return null;
  const bearer = BEARER.exec(credentials)?.[1];
  if (bearer !== undefined) return bearer;
  const basic = BASIC.exec(credentials)?.[1];
  if (basic === undefined) return null;
  const pair = Buffer.from(basic, 'base64').toString('latin1');
  const colon = pair.indexOf(':');
  return colon === -1 ? null : pair.slice(colon + 1);
}
