/**
 * Duty: an access token of an OAuth 2.0 authorization server.
 * In → Out: Workload → token endpoint, by client credentials, refresh token or token exchange → `Grant`.
 * Holds: https, or http to this machine alone; the token is of the type Bearer and says its end, or is used for five minutes;
 *   a call that may use up a refresh token is not given up halfway.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: RFC 6749 §4.4, §5, §6; RFC 8693 §2; RFC 8707; RFC 6750.
 * Not here: who the client is (oauth2-client.ts), which refresh token counts (oauth2-refresh.ts).
 */
import { Secret } from '../../core/secret.ts';
import type { JsonObject } from '../../vault/client.ts';
import type { Workload } from '../../workload/workload.ts';
import type { OAuth2SourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { FORM_TYPE, writeForm } from './form.ts';
import { heldGrant } from './held.ts';
import type { HttpsCaller } from './https-call.ts';
import { inAnswer, lifetimeMsAt, secretAt, unusable } from './issued.ts';
import { endProof, proveClient } from './oauth2-client.ts';
import { type RefreshParts, RefreshToken } from './oauth2-refresh.ts';
import { type FailureTable, failureOf } from './provider-failure.ts';
import type { SourceParts } from './source-parts.ts';

export interface OAuth2Parts extends RefreshParts, Pick<SourceParts, 'mintToken'> {
  readonly options: OAuth2SourceOptions;
  /** Of `options.baseUrl`. */
  readonly caller: HttpsCaller;
}

/** Of a token that does not say its end. */
const UNSAID_MS = 5 * 60_000;
const CALL_MS = 10_000;
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const denied = (detail: string) => ({ code: 'credential_denied', detail }) as const;
const unavailable = (detail: string) => ({ code: 'credential_unavailable', detail }) as const;

const FAILURES: FailureTable = {
  invalid_client: denied('the authorization server does not accept the client: check client id, key and secret'),
  invalid_grant: denied('the authorization server does not accept the grant: the token may have ended or be used up'),
  unauthorized_client: denied('the client may not use this grant at the authorization server'),
  access_denied: denied('the authorization server denies it to the client'),
  unsupported_grant_type: denied('the authorization server does not know this grant'),
  invalid_scope: denied('the authorization server does not know the scope, or does not give it to the client'),
  invalid_target: denied('the authorization server does not know the resource or audience'),
  invalid_request: denied('the authorization server refused the request as wrong: check the keys of the source'),
  server_error: unavailable('the authorization server failed'),
  slow_down: unavailable('the authorization server limits requests'),
  temporarily_unavailable: unavailable('the authorization server is overloaded'),
};

export function createOAuth2Source(parts: OAuth2Parts): CredentialSource {
  const { name, grant } = parts.options;
  if (grant.kind !== 'refreshToken') return { name, fetch: (workload, signal) => obtain(parts, workload, signal) };
  const refresh = new RefreshToken(name, grant.token, parts);
  return { name, fetch: () => refreshed(parts, refresh) };
}

type Members = Readonly<Record<string, string | Secret>>;

async function obtain(parts: OAuth2Parts, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const { grant, auth } = parts.options;
  const isRepeatable = auth.kind !== 'privateKeyJwt';
  if (grant.kind !== 'tokenExchange')
    return (await ask(parts, { grant_type: 'client_credentials' }, isRepeatable, signal)).grant;
  const token = await parts.mintToken(workload, grant.subjectAudience);
  try {
    const members: Members = {
      grant_type: EXCHANGE,
      subject_token: token,
      subject_token_type: `${TOKEN_TYPE}:jwt`,
      requested_token_type: `${TOKEN_TYPE}:access_token`,
    };
    return (await ask(parts, members, isRepeatable, signal)).grant;
  } finally {
    token.destroy();
  }
}

/** The signal of who waits is not heard: an answer that nobody read would be a refresh token that nobody has. */
async function refreshed(parts: OAuth2Parts, refresh: RefreshToken): Promise<Grant> {
  return refresh.use(AbortSignal.timeout(CALL_MS), async (token, keep) => {
    const members = { grant_type: 'refresh_token', refresh_token: token };
    const { grant, next } = await ask(parts, members, false, AbortSignal.timeout(CALL_MS));
    if (next !== null) await keep(next);
    return grant;
  });
}

interface Answered {
  readonly grant: Grant;
  /** A new refresh token; the caller owns it. */
  readonly next: Secret | null;
}

async function ask(
  parts: OAuth2Parts,
  grantMembers: Members,
  isRepeatable: boolean,
  signal: AbortSignal,
): Promise<Answered> {
  const { options, caller, clock } = parts;
  const proof = await proveClient(options, parts, signal);
  try {
    const bytes = writeForm({ ...grantMembers, ...asked(options), ...proof.members });
    try {
      const startMs = clock.monotonicMs();
      const request = {
        method: 'POST',
        path: options.path,
        fields: [],
        bearer: proof.basic,
        scheme: 'Basic',
        body: { type: FORM_TYPE, bytes },
        isRepeatable,
      } as const;
      const reply = await caller.call(request, signal);
      if (reply.status !== 200) throw failureOf(reply, FAILURES);
      return inAnswer(reply.body, ['access_token', 'refresh_token', 'id_token'], (answer, keep) =>
        answered(answer, keep, startMs, options.grant.kind),
      );
    } finally {
      bytes.fill(0);
    }
  } finally {
    endProof(proof);
  }
}

/** Space, audience and resource as the RFCs name them. */
function asked({ scope, audience, resource }: OAuth2SourceOptions): Record<string, string> {
  return {
    ...(scope.length === 0 ? {} : { scope: scope.join(' ') }),
    ...(audience === null ? {} : { audience }),
    ...(resource === null ? {} : { resource }),
  };
}

/** RFC 6749 §7.1: a token of a type that is not understood is not used. */
function assertBearer(answer: JsonObject): void {
  const type = answer.get('token_type');
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw unusable('is of another type than Bearer');
}

function answered(
  answer: JsonObject,
  keep: Set<Secret>,
  startMs: number,
  kind: OAuth2SourceOptions['grant']['kind'],
): Answered {
  assertBearer(answer);
  const issued = answer.get('issued_token_type');
  if (kind === 'tokenExchange' && issued !== `${TOKEN_TYPE}:access_token` && issued !== `${TOKEN_TYPE}:jwt`)
    throw unusable('is no access token');
  const key = secretAt(answer, 'access_token', 'key', keep);
  const lifeMs = answer.has('expires_in') ? lifetimeMsAt(answer, 'expires_in') : UNSAID_MS;
  const grant = heldGrant(new Map([['key', key]] as const), startMs + lifeMs);
  const next = answer.get('refresh_token');
  if (kind !== 'refreshToken' || !(next instanceof Secret) || next.byteLength === 0) return { grant, next: null };
  keep.add(next);
  return { grant, next };
}
