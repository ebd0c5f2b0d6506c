/**
 * Duty: a session of an AWS role, for the token that says who the workload is.
 * In → Out: Workload → its token for STS → AssumeRoleWithWebIdentity → `Grant` with a key pair and a session token.
 * Holds: the call is not signed, since the token alone counts; the session is the workload's own by its name, and can be
 *   narrowed by a session policy. AWS cannot take a session back: it ends by itself.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: STS API reference, AssumeRoleWithWebIdentity; IAM User Guide, session tags by JWT. STS answers the Query protocol in JSON where that is accepted.
 * Not here: signing with the session (injection/sigv4).
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { Workload } from '../../workload/workload.ts';
import type { AwsWebIdentitySourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { FORM_TYPE, writeForm } from './form.ts';
import { heldGrant } from './held.ts';
import type { HttpsCaller } from './https-call.ts';
import { inAnswer, momentAt, objectAt, restMs, secretAt } from './issued.ts';
import { type FailureTable, failureOf } from './provider-failure.ts';
import { expandPlain, nameFor } from './provider-name.ts';

export interface AwsWebIdentityParts {
  readonly options: AwsWebIdentitySourceOptions;
  /** Of `options.baseUrl`. */
  readonly caller: HttpsCaller;
  readonly clock: Clock;
  /** A workload token (JWT) for that audience, with more claims beside its own; the source destroys it. */
  mintToken(
    workload: Workload,
    audience: readonly string[],
    claims?: Readonly<Record<string, unknown>>,
  ): Promise<Secret>;
}

const FORBIDDEN = /[^A-Za-z0-9_+=,.@-]/g;
const MAX_SESSION_NAME = 64;
const API_VERSION = '2011-06-15';
const RESULT = ['AssumeRoleWithWebIdentityResponse', 'AssumeRoleWithWebIdentityResult', 'Credentials'] as const;
const CREDENTIALS = RESULT.join('.');
const TAGS_CLAIM = 'https://aws.amazon.com/tags';
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u;
const LESS_THAN = 0x3c;

const denied = (detail: string) => ({ code: 'credential_denied', detail }) as const;
const unavailable = (detail: string) => ({ code: 'credential_unavailable', detail }) as const;
const THROTTLED = unavailable('STS limits requests');

const FAILURES: FailureTable = {
  AccessDenied: denied('AWS does not let the workload assume the role: check the trust policy of the role'),
  ExpiredTokenException: unavailable(
    'the workload token had ended when STS read it; compare the clock of this machine',
  ),
  IDPCommunicationError: unavailable('STS could not fetch the keys of the issuer of workload tokens'),
  IDPRejectedClaim: denied('the identity provider in AWS refused the claims of the workload token'),
  InvalidIdentityToken: denied(
    'AWS does not accept the workload token: check issuer URL, audience and keys of the identity provider',
  ),
  MalformedPolicyDocument: denied('AWS refused the session policy as malformed'),
  PackedPolicyTooLarge: denied('session policy and tags are too large together'),
  RegionDisabledException: denied('STS is not active in that region for the account'),
  ValidationError: denied('STS refused the request as wrong: check role, session policy and ttl'),
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  InternalFailure: unavailable('STS failed'),
  ServiceUnavailable: unavailable('STS is overloaded or in maintenance'),
};

export function createAwsWebIdentitySource(parts: AwsWebIdentityParts): CredentialSource {
  return { name: parts.options.name, fetch: (workload, signal) => fetchGrant(parts, workload, signal) };
}

async function fetchGrant(parts: AwsWebIdentityParts, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const { options, caller, clock } = parts;
  const bytes = await requestFor(parts, workload);
  try {
    const startMs = clock.monotonicMs();
    const body = { type: FORM_TYPE, bytes };
    const request = { method: 'POST', path: '/', fields: [], bearer: null, body, isRepeatable: true } as const;
    const reply = await caller.call(request, signal);
    if (reply.status !== 200) throw failureOf(reply, FAILURES);
    return grantFrom(reply.body, clock, startMs, options.durationMs);
  } finally {
    bytes.fill(0);
  }
}

async function requestFor({ options, mintToken }: AwsWebIdentityParts, workload: Workload): Promise<Buffer> {
  const name = nameFor(options.sessionName, workload, FORBIDDEN, MAX_SESSION_NAME);
  const policies = options.policyArns.map((arn, i) => [`PolicyArns.member.${i + 1}.arn`, arn] as const);
  const jwt = await mintToken(workload, options.audience, claimsOf(options, workload));
  try {
    return writeForm({
      Action: 'AssumeRoleWithWebIdentity',
      Version: API_VERSION,
      RoleArn: options.roleArn,
      // STS wants two characters.
      RoleSessionName: name.length < 2 ? `${name}-` : name,
      DurationSeconds: String(Math.floor(options.durationMs / 1000)),
      ...(options.policy === null ? {} : { Policy: options.policy }),
      ...Object.fromEntries(policies),
      WebIdentityToken: jwt,
    });
  } finally {
    jwt.destroy();
  }
}

/** Who may do what can hang on a tag, so its value is the workload's own name or nothing. */
function claimsOf({ tags }: AwsWebIdentitySourceOptions, workload: Workload): Readonly<Record<string, unknown>> {
  if (tags === null) return {};
  const values = Object.entries(tags).map(([key, template]) => {
    const value = expandPlain(template, workload);
    if (!TAG_VALUE.test(value))
      throw new EgressError('credential_invalid', { detail: 'a session tag has a value that AWS does not take' });
    return [key, [value]];
  });
  return { [TAGS_CLAIM]: { principal_tags: Object.fromEntries(values), transitive_tag_keys: [] } };
}

function grantFrom(body: Buffer, clock: Clock, startMs: number, durationMs: number): Grant {
  if (body[0] === LESS_THAN) {
    body.fill(0);
    throw new EgressError('credential_invalid', {
      detail: 'the credential source answered in XML; an STS endpoint that answers in JSON is needed',
    });
  }
  const secrets = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'].map((name) => `${CREDENTIALS}.${name}`);
  return inAnswer(body, secrets, (answer, keep) => {
    const credentials = objectAt(answer, ...RESULT);
    const parts = new Map([
      ['accessKeyId', secretAt(credentials, 'AccessKeyId', 'accessKeyId', keep)],
      ['secretAccessKey', secretAt(credentials, 'SecretAccessKey', 'secretAccessKey', keep)],
      ['sessionToken', secretAt(credentials, 'SessionToken', 'sessionToken', keep)],
    ] as const);
    return heldGrant(parts, startMs + restMs(clock, momentAt(credentials, 'Expiration'), durationMs));
  });
}
