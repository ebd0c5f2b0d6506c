/**
 * Duty: verifies a SigV4 Authorization header as AWS would, from the bytes of the request alone.
 * In → Out: request, what its host stands for → the unwrapped body and the key's id, or a failure.
 * Holds: scope must fit the host; the key must be alive and its session token the right one; host and every x-amz-*
 *   must be signed; the time must be within 15 minutes; the body must be what was signed. Shares no code with the
 *   proxy's signer.
 * Not here: presigned requests, SigV2 and SigV4A, all of which are refused.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import type { SandboxKeys } from '../keys.ts';
import type { SandboxRequest } from '../message.ts';
import { canonicalRequest, type Scope, scopeText, signatureOf, signingKey, stringToSign } from './canonical.ts';
import type { AwsFailure } from './failure.ts';
import type { AwsHost } from './hosts.ts';
import { checkPayload, payloadHashOf } from './payload.ts';

export type SigV4Verdict =
  | {
      readonly ok: true;
      readonly accessKeyId: string;
      /** Without the aws-chunked envelope. */
      readonly body: Buffer;
      readonly trailers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly ok: false; readonly accessKeyId: string | null; readonly failure: AwsFailure };

interface Authorization {
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly signedNames: readonly string[];
  readonly signature: string;
}

const WINDOW_MS = 15 * 60_000;
const CREDENTIAL = /^([A-Za-z0-9_]{16,128})\/([0-9]{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/;
const AMZ_DATE = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/;
const QUERY_AUTH = /(?:^|&)(?:X-Amz-(?:Algorithm|Signature|Credential)|AWSAccessKeyId|Signature)=/i;
/** Hops may change these, so that a signature over them could not hold. */
const NEVER_SIGNED: ReadonlySet<string> = new Set(['authorization', 'connection', 'transfer-encoding', 'expect', 'te']);
const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your key and signing method.';

export function verifySigV4(request: SandboxRequest, host: AwsHost, registry: SandboxKeys, clock: Clock): SigV4Verdict {
  const given = request.headers.getAll('authorization');
  if (given.length > 1 || (given.length === 1 && request.query !== null && QUERY_AUTH.test(request.query))) {
    return no(null, 'InvalidArgument', 400, 'Only one auth mechanism allowed');
  }
  if (given[0] === undefined)
    return no(null, 'AccessDenied', 403, 'Access Denied: the request is not signed in its header');
  const authorization = parseAuthorization(given[0]);
  if (authorization === null)
    return no(null, 'AuthorizationHeaderMalformed', 400, 'The authorization header is malformed.');
  const { accessKeyId, scope } = authorization;
  const known = registry.findAwsKey(accessKeyId);
  if (known === null) {
    return no(
      accessKeyId,
      'InvalidAccessKeyId',
      403,
      'The AWS Access Key Id you provided does not exist in our records.',
      [['AWSAccessKeyId', accessKeyId]],
    );
  }
  const early =
    scopeFailure(scope, host) ?? timeFailure(request, scope, clock) ?? headerFailure(request, authorization, host);
  if (early !== null) return { ok: false, accessKeyId, failure: early };
  const token = request.headers.getAll('x-amz-security-token');
  if (token.length > 1 || (token[0] ?? null) !== known.sessionToken) {
    return no(accessKeyId, 'InvalidToken', 400, 'The provided token is malformed or otherwise invalid.');
  }
  if (!known.alive) return no(accessKeyId, 'ExpiredToken', 400, 'The provided token has expired.');
  return checkSignature(request, authorization, known.secretAccessKey, host);
}

function checkSignature(request: SandboxRequest, auth: Authorization, secret: string, host: AwsHost): SigV4Verdict {
  const { accessKeyId, scope } = auth;
  const payloadHash = payloadHashOf(request, host.service === 's3');
  if (payloadHash === null) {
    return no(
      accessKeyId,
      'InvalidRequest',
      400,
      'x-amz-content-sha256 is missing, or not one that this service takes.',
    );
  }
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query: request.query,
    signed: auth.signedNames.map((name) => ({ name, values: request.headers.getAll(name) })),
    payloadHash,
    service: host.service,
  });
  const amzDate = request.headers.get('x-amz-date') ?? '';
  const text = stringToSign(amzDate, scope, canonical);
  const key = signingKey(secret, scope);
  const expected = signatureOf(key, text);
  if (!timingSafeEqual(Buffer.from(expected), Buffer.from(auth.signature))) {
    return no(accessKeyId, 'SignatureDoesNotMatch', 403, MISMATCH, [
      ['AWSAccessKeyId', accessKeyId],
      ['StringToSign', text],
      ['SignatureProvided', auth.signature],
      ['StringToSignBytes', spacedHex(text)],
      ['CanonicalRequest', canonical],
      ['CanonicalRequestBytes', spacedHex(canonical)],
    ]);
  }
  const checked = checkPayload(request, payloadHash, { key, signature: expected, amzDate, scope: scopeText(scope) });
  return checked.ok ? { ...checked, accessKeyId } : { ...checked, accessKeyId };
}

/** `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=a;b, Signature=…`; the blank after a comma may be missing. */
function parseAuthorization(value: string): Authorization | null {
  const prefix = 'AWS4-HMAC-SHA256 ';
  if (!value.startsWith(prefix)) return null;
  const parts = new Map<string, string>();
  for (const part of value.slice(prefix.length).split(',')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, equals).trim();
    if (equals === -1 || parts.has(name)) return null;
    parts.set(name, part.slice(equals + 1).trim());
  }
  const credential = CREDENTIAL.exec(parts.get('Credential') ?? '');
  const [, accessKeyId, date, region, service] = credential ?? [];
  const signature = parts.get('Signature') ?? '';
  const signedNames = (parts.get('SignedHeaders') ?? '').split(';');
  if (accessKeyId === undefined || date === undefined || region === undefined || service === undefined) return null;
  if (parts.size !== 3 || !/^[0-9a-f]{64}$/.test(signature)) return null;
  return { accessKeyId, scope: { date, region, service }, signedNames, signature };
}

function scopeFailure(scope: Scope, host: AwsHost): AwsFailure | null {
  if (scope.service !== host.service) {
    return malformed(`the service '${scope.service}' is wrong; expecting '${host.service}'`, []);
  }
  if (scope.region !== host.region) {
    return malformed(`the region '${scope.region}' is wrong; expecting '${host.region}'`, [['Region', host.region]]);
  }
  return null;
}

function timeFailure(request: SandboxRequest, scope: Scope, clock: Clock): AwsFailure | null {
  const [amzDate = '', second] = request.headers.getAll('x-amz-date');
  const parts = AMZ_DATE.exec(amzDate);
  if (parts === null || second !== undefined)
    return malformed('exactly one X-Amz-Date in ISO 8601 basic form is needed', []);
  const [, year, month, day, hour, minute, seconds] = parts;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${seconds}Z`);
  if (amzDate.slice(0, 8) !== scope.date) return malformed('the date of the credential is not that of X-Amz-Date', []);
  if (Math.abs(clock.now() - at) <= WINDOW_MS) return null;
  const message = 'The difference between the request time and the current time is too large.';
  const details = [
    ['RequestTime', amzDate],
    ['ServerTime', new Date(clock.now()).toISOString()],
    ['MaxAllowedSkewMilliseconds', `${WINDOW_MS}`],
  ] as const;
  return { code: 'RequestTimeTooSkewed', status: 403, message, details };
}

function headerFailure(request: SandboxRequest, auth: Authorization, host: AwsHost): AwsFailure | null {
  const names = auth.signedNames;
  const signed = new Set(names);
  const sorted = [...signed].sort((a, b) => (a < b ? -1 : 1));
  if (signed.size !== names.length || sorted.some((name, i) => name !== names[i] || name !== name.toLowerCase())) {
    return malformed('SignedHeaders is not a sorted list of lower-case names', []);
  }
  if (!signed.has('host')) return malformed('host is not signed', []);
  const never = names.find((name) => NEVER_SIGNED.has(name));
  if (never !== undefined) return malformed(`${never} cannot be signed`, []);
  for (const { key } of request.headers) {
    const mustBeSigned = key.startsWith('x-amz-') || (key === 'content-md5' && host.service === 's3');
    if (!mustBeSigned || signed.has(key)) continue;
    const message = 'There were headers present in the request which were not signed';
    return { code: 'AccessDenied', status: 403, message, details: [['HeadersNotSigned', key]] };
  }
  return null;
}

function malformed(why: string, details: NonNullable<AwsFailure['details']>): AwsFailure {
  const message = `The authorization header is malformed; ${why}`;
  return { code: 'AuthorizationHeaderMalformed', status: 400, message, details };
}

function no(
  accessKeyId: string | null,
  code: string,
  status: number,
  message: string,
  details: NonNullable<AwsFailure['details']> = [],
): SigV4Verdict {
  return { ok: false, accessKeyId, failure: { code, status, message, details } };
}

const spacedHex = (text: string): string =>
  Buffer.from(text, 'latin1')
    .toString('hex')
    .replace(/(..)(?!$)/g, '$1 ');
