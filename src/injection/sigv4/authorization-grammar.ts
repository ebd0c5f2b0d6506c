/**
 * Duty: reads the client's AWS signature, or says in a sentence why that kind cannot be signed again.
 * In → Out: header fields and raw query → `ClientAuthorization`.
 * Holds: exactly one signature, in the header, SigV4 with HMAC; every component once; SignedHeaders sorted, lower case,
 *   with host.
 * Fails: `signing_unsupported` (presigned, SigV2, SigV4A, bearer, two signatures), `client_signature_invalid` (none,
 *   malformed).
 * Source: AWS SigV4, "Add the signature to the request"; the comma may stand with or without a space.
 */
import { EgressError } from '../../core/errors.ts';
import type { HeaderList } from '../../core/headers.ts';
import { hasParameter } from '../query-parameters.ts';
import type { Scope } from './scope-text.ts';

export interface ClientAuthorization {
  readonly accessKeyId: string;
  readonly scope: Scope;
  /** Lower case, ascending. */
  readonly signedNames: readonly string[];
  /** 64 lower-case hex digits. */
  readonly signature: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const CREDENTIAL = /^([A-Za-z0-9_]{16,128})\/([0-9]{8})\/([a-z0-9-]{1,64})\/([A-Za-z0-9-]{1,64})\/aws4_request$/;
const COMPONENT = /^[ ]*(Credential|SignedHeaders|Signature)=([!-~]+?)[ ]*$/;
const SIGNED_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const SIGNATURE = /^[0-9a-f]{64}$/;
const SIGNATURE_LENGTH = 64;

const PRESIGNED: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-signature',
  'x-amz-signedheaders',
  'x-amz-expires',
  'x-amz-date',
  'x-amz-security-token',
]);
const PRESIGNED_V2: ReadonlySet<string> = new Set(['awsaccesskeyid', 'signature']);
/** Most queries hold none of these names, not even escaped. */
const ANY_PRESIGNED = /%|x-amz-|awsaccesskeyid|signature/i;

const unsupported = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });
const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });

/** @throws EgressError `signing_unsupported`, `client_signature_invalid`. */
export function parseClientAuthorization(headers: HeaderList, query: string | null): ClientAuthorization {
  const values = headers.getAll('authorization');
  const mayBePresigned = query !== null && ANY_PRESIGNED.test(query);
  const isPresigned = mayBePresigned && hasParameter(query, PRESIGNED);
  const isPresignedV2 = mayBePresigned && hasParameter(query, PRESIGNED_V2);
  if (values.length > 1) throw unsupported('the request has more than one Authorization field');
  const [value] = values;
  if (value !== undefined && (isPresigned || isPresignedV2))
    throw unsupported('the request is signed in its header and in its query; AWS takes one or the other');
  if (isPresigned)
    throw unsupported(
      'a presigned URL cannot be signed again; let the SDK send the request itself, signed in its header',
    );
  if (isPresignedV2)
    throw unsupported('a URL presigned with AWS signature version 2; use an SDK call, or signature version 4');
  if (headers.has('x-amz-s3session-token'))
    throw unsupported('S3 Express sessions hand a real key to the client; disable session authentication in the SDK');
  if (value === undefined)
    throw invalid('the request is not signed; give the AWS SDK the placeholder key pair of this workload');
  if (!value.startsWith(`${ALGORITHM} `)) throw otherScheme(value);
  return readComponents(value.slice(ALGORITHM.length + 1));
}

/** All but the signature, by the text before its digits: a client repeats it with every request of a day. */
const known = new Map<string, Omit<ClientAuthorization, 'signature'>>();
const MAX_KNOWN = 512;
const MAX_KNOWN_LENGTH = 1_024;
const SIGNATURE_LAST = ', Signature=';

function readComponents(text: string): ClientAuthorization {
  const end = text.length - SIGNATURE_LENGTH;
  const before = text.slice(0, Math.max(0, end));
  const signature = text.slice(Math.max(0, end));
  if (!before.endsWith(SIGNATURE_LAST) || before.length > MAX_KNOWN_LENGTH || !SIGNATURE.test(signature))
    return parseComponents(text);
  const same = known.get(before);
  if (same !== undefined)
    return { accessKeyId: same.accessKeyId, scope: same.scope, signedNames: same.signedNames, signature };
  const parsed = parseComponents(text);
  // Workloads choose these texts, so that what is remembered of them has a bound.
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(before, parsed);
  return parsed;
}

function otherScheme(value: string): EgressError {
  if (/^AWS4-ECDSA-P256-SHA256(?: |$)/.test(value))
    return unsupported(
      'SigV4A (multi-region access points, global endpoints) is not supported; use a regional endpoint',
    );
  if (/^AWS /.test(value)) return unsupported('AWS signature version 2 is not supported; configure version 4');
  if (/^bearer /i.test(value)) {
    const instead = 'unset AWS_BEARER_TOKEN_BEDROCK and give the SDK the placeholder key pair';
    return unsupported(`a bearer token was sent where the binding signs with SigV4; ${instead}`);
  }
  return unsupported('the Authorization scheme is not AWS4-HMAC-SHA256');
}

function parseComponents(text: string): ClientAuthorization {
  const components = new Map<string, string>();
  for (const part of text.split(',')) {
    const [, name, value] = COMPONENT.exec(part) ?? [];
    if (name === undefined || value === undefined) throw invalid('the Authorization field is malformed');
    if (components.has(name)) throw invalid(`the Authorization field has ${name} twice`);
    components.set(name, value);
  }
  const signature = components.get('Signature') ?? '';
  if (!SIGNATURE.test(signature)) throw invalid('the Authorization field has no well-formed Signature');
  const [, accessKeyId, date, region, service] = CREDENTIAL.exec(components.get('Credential') ?? '') ?? [];
  if (accessKeyId === undefined || date === undefined || region === undefined || service === undefined)
    throw invalid('the Authorization field has no well-formed Credential');
  const signedNames = parseSignedNames(components.get('SignedHeaders') ?? '');
  return { accessKeyId, scope: { date, region, service }, signedNames, signature };
}

function parseSignedNames(text: string): readonly string[] {
  const names = text.split(';');
  let previous = '';
  for (const name of names) {
    if (!SIGNED_NAME.test(name) || name <= previous)
      throw invalid('SignedHeaders is not a sorted list of lower-case names');
    previous = name;
  }
  if (!names.includes('host')) throw invalid('host is not among the SignedHeaders');
  return names;
}
