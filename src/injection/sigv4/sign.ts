/**
 * Duty: signs the request that goes out, with the real key, the proxy's clock and the real session token.
 * In → Out: outgoing parts, what the client signed, key → fields with Authorization and X-Amz-Date; the token as a secret.
 * Holds: host and every X-Amz-* field are signed, the token too; what hops may change never is. A field that the client
 *   signed stays signed if it still has the value that it had. Old date and token are gone.
 * Source: AWS SigV4, "Create a signed request"; S3 refuses unsigned X-Amz-* and Content-MD5.
 */
import type { Field, HeaderList, SecretField } from '../../core/headers.ts';
import type { Secret } from '../../core/secret.ts';
import { secretField } from '../secret-bytes.ts';
import { canonicalRequest, hashCanonical } from './canonical-request.ts';
import type { Seed } from './chain.ts';
import { algorithmOf, amzDateOf, type Scope, scopeAt, scopeText } from './scope-text.ts';
import type { KeyPair, SigningKeys } from './signing-keys.ts';
import { stringToSign } from './string-to-sign.ts';

/** What is signed with. */
export interface SigningCredential extends KeyPair {
  readonly sessionToken: Secret | null;
  /** Sessions of S3 Express have a field of their own for it. */
  readonly tokenField: 'X-Amz-Security-Token' | 'X-Amz-S3session-Token';
}

export interface UnsignedRequest {
  readonly method: string;
  /** Canonical, as the query. */
  readonly path: string;
  readonly query: string;
  /** Outgoing fields, Host among them. */
  readonly fields: readonly Field[];
  readonly payloadHash: string;
}

/** What the client had signed. */
export interface ClientSigned {
  readonly names: readonly string[];
  readonly headers: HeaderList;
}

export interface SignedRequest {
  readonly fields: Field[];
  readonly secretFields: readonly SecretField[];
  /** What signatures in the body are chained to. */
  readonly seed: Seed;
}

const REPLACED: ReadonlySet<string> = new Set([
  'authorization',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-s3session-token',
]);
const NEVER_SIGNED: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
  'x-amzn-trace-id',
]);
const NEVER_SIGNED_PREFIXES = ['proxy-', 'x-forwarded-', 'sec-websocket-'];

/** @throws EgressError `secret_destroyed`. */
export function signRequest(
  request: UnsignedRequest,
  client: ClientSigned,
  clientScope: Scope,
  credential: SigningCredential,
  keys: SigningKeys,
  nowMs: number,
): SignedRequest {
  const amzDate = amzDateOf(nowMs);
  const scope = scopeAt(clientScope, amzDate.slice(0, 8));
  const { sessionToken, tokenField } = credential;
  const tokenName = sessionToken === null ? null : tokenField.toLowerCase();
  const hadDate = client.names.includes('date');
  const fields = request.fields.filter(({ key }) => !REPLACED.has(key) && !(hadDate && key === 'date'));
  fields.push({ name: 'X-Amz-Date', key: 'x-amz-date', value: amzDate });
  const signedNames = namesToSign(fields, client, tokenName);
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query: request.query,
    fields,
    signedNames,
    secretName: tokenName,
    payloadHash: request.payloadHash,
  });
  const text = stringToSign(amzDate, scope, hashCanonical(canonical, sessionToken));
  const signature = keys.sign(credential, scope, text);
  const value = `${algorithmOf(scope)} Credential=${credential.accessKeyId}/${scopeText(scope)}, SignedHeaders=${signedNames.join(';')}, Signature=${signature}`;
  fields.push({ name: 'Authorization', key: 'authorization', value });
  return {
    fields,
    secretFields: sessionToken === null ? [] : [secretField(tokenField, '', sessionToken)],
    seed: { amzDate, scope, signature },
  };
}

function namesToSign(fields: readonly Field[], client: ClientSigned, tokenName: string | null): readonly string[] {
  const names = tokenName === null ? [] : [tokenName];
  for (const { key } of fields) {
    const rule = ruleFor(key);
    if (rule === 'never' || names.includes(key)) continue;
    if (rule === 'always' || (client.names.includes(key) && isUnchanged(key, fields, client.headers))) names.push(key);
  }
  return names.sort();
}

type SigningRule = 'always' | 'never' | 'as the client';

const rules = new Map<string, SigningRule>();
/** Workloads choose the names, so that what is remembered of them has a bound. */
const MAX_RULES = 512;
const MAX_RULE_LENGTH = 64;

function ruleFor(key: string): SigningRule {
  let rule = rules.get(key);
  if (rule !== undefined) return rule;
  rule = isNeverSigned(key) ? 'never' : isAlwaysSigned(key) ? 'always' : 'as the client';
  if (rules.size < MAX_RULES && key.length <= MAX_RULE_LENGTH) rules.set(key, rule);
  return rule;
}

const isAlwaysSigned = (key: string): boolean =>
  key === 'host' || key.startsWith('x-amz-') || key === 'content-type' || key === 'content-md5';

const isNeverSigned = (key: string): boolean =>
  NEVER_SIGNED.has(key) || NEVER_SIGNED_PREFIXES.some((prefix) => key.startsWith(prefix));

function isUnchanged(key: string, fields: readonly Field[], received: HeaderList): boolean {
  const before = received.fields;
  let at = 0;
  for (const field of fields) {
    if (field.key !== key) continue;
    while (before[at] !== undefined && before[at]?.key !== key) at++;
    if (before[at]?.value !== field.value) return false;
    at++;
  }
  for (; at < before.length; at++) if (before[at]?.key === key) return false;
  return true;
}
