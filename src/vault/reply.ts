/**
 * Duty: the members of Vault's replies that count, checked.
 * In → Out: the bytes of a reply → `VaultToken` or `VaultReply`.
 * Holds: seconds end here; lease ids and accessors are short printable text, since they go into the audit; whatever
 *   secret is not handed on is destroyed.
 * Fails: `credential_invalid`.
 * Source: Vault HTTP API, "auth" and "lease" members of a response.
 */
import { EgressError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { destroySecrets, type JsonObject, type JsonValue, readJson, readJsonAndKeep } from './json.ts';

export interface VaultToken {
  readonly token: Secret;
  /** Empty for batch tokens. */
  readonly accessor: string;
  /** 0: the token does not end by itself. */
  readonly leaseDurationMs: number;
  readonly renewable: boolean;
  /** How many calls it is good for; 0: any number. */
  readonly numUses: number;
  readonly kind: 'service' | 'batch';
  /** Somebody else made it, and ends it: what is made with it does not end with a call of ours. */
  readonly isBorrowed?: boolean;
  readonly policies: readonly string[];
  /** `X-Vault-Index` of the login, which later calls send back. */
  readonly index: string | null;
}

export interface VaultReply {
  /** Empty where the engine makes no lease. */
  readonly leaseId: string;
  readonly leaseDurationMs: number;
  readonly renewable: boolean;
  /** Every string in it, at any depth, is a `Secret` that the receiver destroys. */
  readonly data: JsonObject;
  /** `data` as it was sent, where that was asked for; the receiver destroys it. */
  readonly document: Secret | null;
}

export interface Renewal {
  readonly leaseDurationMs: number;
  readonly renewable: boolean;
}

const SECRET_MEMBERS = ['data', 'auth.client_token', 'wrap_info.token'];
const IDENTIFIER = /^[\x21-\x7e]{0,1024}$/;
/** Also a token: what goes into a header field must not be able to end it. */
const isTokenByte = (byte: number): boolean => byte > 0x20 && byte < 0x7f;

const wrong = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the answer of the credential source ${what}` });

/** Takes and zeroes `body`. @throws EgressError `credential_invalid`. */
export function tokenFrom(body: Buffer | null, index: string | null): VaultToken {
  return inReply(body, (reply, keep) => {
    const auth = reply.get('auth');
    if (!(auth instanceof Map)) throw wrong('has no token');
    const token = auth.get('client_token');
    if (!(token instanceof Secret) || token.byteLength === 0 || !token.reveal().every(isTokenByte))
      throw wrong('has no usable token');
    const policies = auth.get('policies');
    const value: VaultToken = {
      token,
      accessor: identifier(auth, 'accessor'),
      leaseDurationMs: durationMs(auth),
      renewable: auth.get('renewable') === true,
      numUses: wholeNumber(auth, 'num_uses'),
      kind: auth.get('token_type') === 'batch' ? 'batch' : 'service',
      policies: Array.isArray(policies) ? policies.filter((name) => typeof name === 'string') : [],
      index,
    };
    keep.add(token);
    return value;
  });
}

/** Takes and zeroes `body`. `keepsDocument`: the bytes of `data` are wanted too. @throws EgressError `credential_invalid`. */
export function replyFrom(body: Buffer | null, keepsDocument = false): VaultReply {
  const kept = body !== null && keepsDocument ? readJsonAndKeep(body, SECRET_MEMBERS, 'data') : null;
  try {
    return inReply(kept ?? body, (reply, keep) => {
      const data = reply.get('data');
      if (!(data instanceof Map)) throw wrong('has no data');
      const value = {
        leaseId: identifier(reply, 'lease_id'),
        leaseDurationMs: durationMs(reply),
        renewable: reply.get('renewable') === true,
        data,
        document: kept?.raw ?? null,
      };
      collectSecrets(data, keep);
      return value;
    });
  } catch (thrown) {
    kept?.raw?.destroy();
    throw thrown;
  }
}

/** A token of which nothing else is known. */
export const bareToken = (token: Secret, numUses: number): VaultToken => ({
  token,
  accessor: '',
  leaseDurationMs: 0,
  renewable: false,
  numUses,
  kind: 'service',
  policies: [],
  index: null,
});

/** Of somebody else, and nothing is known of its end. */
export const borrowedToken = (token: Secret): VaultToken => ({ ...bareToken(token, 0), isBorrowed: true });

/** Takes and zeroes `body`: what lookup-self says of `token`. Renewing it is its owner's. @throws EgressError `credential_invalid`. */
export function borrowedTokenFrom(body: Buffer | null, token: Secret): VaultToken {
  return inReply(body, (reply) => {
    const data = reply.get('data');
    if (!(data instanceof Map)) throw wrong('has no data');
    return {
      ...borrowedToken(token),
      numUses: wholeNumber(data, 'num_uses'),
      leaseDurationMs: wholeNumber(data, 'ttl') * 1000,
      kind: publicText(data.get('type')) === 'batch' ? 'batch' : 'service',
    };
  });
}

/** Takes and zeroes `body`: of sys/wrapping/lookup. @throws EgressError `credential_invalid`. */
export function creationPathFrom(body: Buffer | null): string {
  return inReply(body, (reply) => {
    const data = reply.get('data');
    return data instanceof Map ? publicText(data.get('creation_path')) : '';
  });
}

/** Takes and zeroes `body`: one secret of its data. @throws EgressError `credential_invalid`. */
export function memberFrom(body: Buffer | null, member: string): Secret {
  return inReply(body, (reply, keep) => {
    const data = reply.get('data');
    const value = data instanceof Map ? data.get(member) : undefined;
    if (!(value instanceof Secret)) throw wrong(`has no ${member}`);
    keep.add(value);
    return value;
  });
}

/** What is no secret, although it stands among them; empty where it is no text. */
export const publicText = (value: JsonValue | undefined): string =>
  value instanceof Secret ? value.reveal().toString('utf8') : typeof value === 'string' ? value : '';

/** Takes and zeroes `body`: `auth` of a renewed token, or a renewed lease. @throws EgressError `credential_invalid`. */
export function renewalFrom(body: Buffer | null): Renewal {
  return inReply(body, (reply) => {
    const auth = reply.get('auth');
    const renewed = auth instanceof Map ? auth : reply;
    return { leaseDurationMs: durationMs(renewed), renewable: renewed.get('renewable') === true };
  });
}

/** What `use` puts into `keep` survives, every other secret does not. */
function inReply<T>(
  body: Buffer | { readonly value: JsonValue } | null,
  use: (reply: JsonObject, keep: Set<Secret>) => T,
): T {
  if (body === null) throw wrong('is empty');
  const reply = 'value' in body ? body.value : readJson(body, SECRET_MEMBERS);
  const keep = new Set<Secret>();
  try {
    if (!(reply instanceof Map)) throw wrong('is not an object');
    return use(reply, keep);
  } finally {
    destroySecrets(reply, keep);
  }
}

function collectSecrets(value: JsonValue, into: Set<Secret>): void {
  if (value instanceof Secret) into.add(value);
  else if (value instanceof Map || Array.isArray(value))
    for (const inner of value.values()) collectSecrets(inner, into);
}

function identifier(object: JsonObject, member: string): string {
  const value = object.get(member) ?? '';
  if (typeof value !== 'string' || !IDENTIFIER.test(value)) throw wrong(`has an unusable ${member}`);
  return value;
}

function durationMs(object: JsonObject): number {
  return wholeNumber(object, 'lease_duration') * 1000;
}

/** A whole number of at least 0; absent or null counts as 0. */
function wholeNumber(object: JsonObject, member: string): number {
  const value = object.get(member) ?? 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > 2 ** 40)
    throw wrong(`has an unusable ${member}`);
  return value;
}
