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
import type { Seed } from './chunk-chain.ts';
import { amzDateOf, type Scope, scopeAt, scopeText } from './scope-text.ts';
import type { SigningKeyCache } from './signing-key.ts';
import { stringToSign } from './string-to-sign.ts';

/** What is signed with: `owner` names the key across the process. */
export interface SigningCredential {
  readonly owner: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
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
  /** What signatures of chunks go on from. */
  readonly seed: Seed;
}

const TOKEN = 'x-amz-security-token';
const REPLACED: ReadonlySet<string> = new Set(['authorization', 'x-amz-date', TOKEN]);
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
  keys: SigningKeyCache,
  nowMs: number,
): SignedRequest {
  const amzDate = amzDateOf(nowMs);
  const scope = scopeAt(clientScope, amzDate.slice(0, 8));
  const { sessionToken } = credential;
  const hadDate = client.names.includes('date');
  const fields = request.fields.filter(({ key }) => !REPLACED.has(key) && !(hadDate && key === 'date'));
  fields.push({ name: 'X-Amz-Date', key: 'x-amz-date', value: amzDate });
  const signedNames = namesToSign(fields, client, sessionToken !== null);
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query: request.query,
    fields,
    signedNames,
    secretName: sessionToken === null ? null : TOKEN,
    payloadHash: request.payloadHash,
  });
  const signingKey = keys.keyFor(credential.owner, credential.secretAccessKey, scope);
  const signature = signingKey.sign(stringToSign(amzDate, scope, hashCanonical(canonical, sessionToken)));
  const value = `AWS4-HMAC-SHA256 Credential=${credential.accessKeyId}/${scopeText(scope)}, SignedHeaders=${signedNames.join(';')}, Signature=${signature}`;
  fields.push({ name: 'Authorization', key: 'authorization', value });
  const secretFields = sessionToken === null ? [] : [secretField('X-Amz-Security-Token', '', sessionToken)];
  return { fields, secretFields, seed: { amzDate, scope, signature } };
}

function namesToSign(fields: readonly Field[], client: ClientSigned, hasToken: boolean): readonly string[] {
  const names = hasToken ? [TOKEN] : [];
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
