/**
 * Duty: reads the client's AWS signature, or says in a sentence why that kind cannot be signed again.
 * In → Out: head → `ClientAuthorization`.
 * Holds: exactly one signature, in the header or in the query, SigV4 or SigV4A; every component once; SignedHeaders sorted,
 *   lower case, with host.
 * Fails: `signing_unsupported` (SigV2, forms, another scheme, two signatures), `client_signature_invalid` (none, malformed).
 * Source: AWS SigV4, "Add the signature to the request"; the comma may stand with or without a space.
 * Not here: the parameters of a presigned query (presigned.ts).
 */
import { EgressError } from '../../core/errors.ts';
import type { HeaderList } from '../../core/headers.ts';
import type { RequestHead } from '../../core/message.ts';
import { hasParameter } from '../query-parameters.ts';
import { isPresignedQuery, type Presigned, readPresigned } from './presigned.ts';
import type { Algorithm, Scope } from './scope-text.ts';
import { ECDSA_SIGNATURE, HMAC_SIGNATURE } from './signing-keys.ts';

export type SignedHead = Pick<RequestHead, 'headers' | 'query' | 'method'>;

export interface ClientAuthorization {
  readonly accessKeyId: string;
  readonly scope: Scope;
  /** Lower case, ascending. */
  readonly signedNames: readonly string[];
  /** Lower-case hex digits. */
  readonly signature: string;
  /** Null: signed in its header. */
  readonly presigned: Presigned | null;
}

const HMAC: Algorithm = 'AWS4-HMAC-SHA256';
const ECDSA: Algorithm = 'AWS4-ECDSA-P256-SHA256';
const CREDENTIAL = /^([A-Za-z0-9_]{16,128})\/([0-9]{8})\/([a-z0-9-]{1,64})\/([A-Za-z0-9-]{1,64})\/aws4_request$/;
const ECDSA_CREDENTIAL = /^([A-Za-z0-9_]{16,128})\/([0-9]{8})\/([A-Za-z0-9-]{1,64})\/aws4_request$/;
const COMPONENT = /^[ ]*(Credential|SignedHeaders|Signature)=([!-~]+?)[ ]*$/;
/** In HTTP/2 some SDKs sign `:authority` by that name. */
const SIGNED_NAME = /^(?::authority|[a-z0-9!#$%&'*+.^_`|~-]+)$/;
const SIGNATURE_LENGTH = 64;

const PRESIGNED_V2: ReadonlySet<string> = new Set(['awsaccesskeyid', 'signature']);
/** Most queries hold none of these names, not even escaped. */
const ANY_PRESIGNED = /%|x-amz-|awsaccesskeyid|signature/i;

const unsupported = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });
const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });

/** @throws EgressError `signing_unsupported`, `client_signature_invalid`. */
export function parseClientAuthorization(
  { headers, query, method }: SignedHead,
  takesPresigned: boolean,
): ClientAuthorization {
  const values = headers.getAll('authorization');
  const mayBePresigned = query !== null && ANY_PRESIGNED.test(query);
  const isPresigned = mayBePresigned && isPresignedQuery(query);
  const isPresignedV2 = mayBePresigned && hasParameter(query, PRESIGNED_V2);
  if (values.length > 1) throw unsupported('the request has more than one Authorization field');
  const [value] = values;
  if (Number(value !== undefined) + Number(isPresigned) + Number(isPresignedV2) > 1)
    throw unsupported('the request is signed in more than one way; AWS takes one');
  if (isPresignedV2)
    throw unsupported('a URL presigned with AWS signature version 2; use an SDK call, or signature version 4');
  if (isPresigned && !takesPresigned) {
    const instead = 'or let the SDK send the request itself, signed in its header';
    throw unsupported(`a presigned URL is signed again where the binding says sigv4: { presigned: true }; ${instead}`);
  }
  if (isPresigned) return parsePresigned(query);
  if (value === undefined) throw unsigned(method, headers);
  if (value.startsWith(`${HMAC} `)) return readComponents(value.slice(HMAC.length + 1));
  if (value.startsWith(`${ECDSA} `)) return parseComponents(value.slice(ECDSA.length + 1), ECDSA);
  throw otherScheme(value);
}

function unsigned(method: string, headers: HeaderList): EgressError {
  if (method === 'POST' && /^multipart\/form-data/i.test(headers.get('content-type') ?? ''))
    return unsupported(
      'an S3 form upload is signed inside its body, over a policy; let the SDK call PutObject instead',
    );
  return invalid('the request is not signed; give the AWS SDK the placeholder key pair of this workload');
}

function otherScheme(value: string): EgressError {
  if (/^AWS /.test(value)) return unsupported('AWS signature version 2 is not supported; configure version 4');
  if (/^bearer /i.test(value)) {
    const instead = 'unset AWS_BEARER_TOKEN_BEDROCK, or give the credential a part "key" (Bedrock alone takes one)';
    return unsupported(`a bearer token was sent where the binding signs with SigV4; ${instead}`);
  }
  return unsupported('the Authorization scheme is not AWS4-HMAC-SHA256 or AWS4-ECDSA-P256-SHA256');
}

type SignedParts = Pick<ClientAuthorization, 'accessKeyId' | 'scope' | 'signedNames'>;

/** All but the signature, by the text before its digits: a client repeats it with every request of a day. */
const known = new Map<string, SignedParts>();
const MAX_KNOWN = 512;
const MAX_KNOWN_LENGTH = 1_024;
const SIGNATURE_LAST = ', Signature=';

function readComponents(text: string): ClientAuthorization {
  const end = text.length - SIGNATURE_LENGTH;
  const before = text.slice(0, Math.max(0, end));
  const signature = text.slice(Math.max(0, end));
  if (!before.endsWith(SIGNATURE_LAST) || before.length > MAX_KNOWN_LENGTH || !HMAC_SIGNATURE.test(signature))
    return parseComponents(text, HMAC);
  const same = known.get(before);
  if (same !== undefined) {
    const { accessKeyId, scope, signedNames } = same;
    return { accessKeyId, scope, signedNames, signature, presigned: null };
  }
  const parsed = parseComponents(text, HMAC);
  // Workloads choose these texts, so that what is remembered of them has a bound.
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(before, parsed);
  return parsed;
}

function parseComponents(text: string, algorithm: Algorithm): ClientAuthorization {
  const components = new Map<string, string>();
  for (const part of text.split(',')) {
    const [, name, value] = COMPONENT.exec(part) ?? [];
    if (name === undefined || value === undefined) throw invalid('the Authorization field is malformed');
    if (components.has(name)) throw invalid(`the Authorization field has ${name} twice`);
    components.set(name, value);
  }
  const part = (name: string): string => components.get(name) ?? '';
  const signature = parseSignature(part('Signature'), algorithm);
  return {
    ...parseCredential(part('Credential'), algorithm),
    signedNames: parseSignedNames(part('SignedHeaders')),
    signature,
    presigned: null,
  };
}

function parsePresigned(query: string | null): ClientAuthorization {
  const { algorithm, credential, signedHeaders, signature, presigned } = readPresigned(query);
  if (algorithm !== HMAC && algorithm !== ECDSA)
    throw unsupported('X-Amz-Algorithm is neither AWS4-HMAC-SHA256 nor AWS4-ECDSA-P256-SHA256');
  return {
    ...parseCredential(credential, algorithm),
    signedNames: parseSignedNames(signedHeaders),
    signature: parseSignature(signature, algorithm),
    presigned,
  };
}

function parseSignature(text: string, algorithm: Algorithm): string {
  if ((algorithm === HMAC ? HMAC_SIGNATURE : ECDSA_SIGNATURE).test(text)) return text;
  throw invalid('there is no well-formed Signature');
}

function parseCredential(text: string, algorithm: Algorithm): Pick<SignedParts, 'accessKeyId' | 'scope'> {
  if (algorithm === ECDSA) {
    const [, accessKeyId, date, service] = ECDSA_CREDENTIAL.exec(text) ?? [];
    if (accessKeyId !== undefined && date !== undefined && service !== undefined)
      return { accessKeyId, scope: { date, region: null, service } };
  } else {
    const [, accessKeyId, date, region, service] = CREDENTIAL.exec(text) ?? [];
    if (accessKeyId !== undefined && date !== undefined && region !== undefined && service !== undefined)
      return { accessKeyId, scope: { date, region, service } };
  }
  throw invalid('there is no well-formed Credential');
}

function parseSignedNames(text: string): readonly string[] {
  const names = text.split(';');
  let previous = '';
  for (const name of names) {
    if (!SIGNED_NAME.test(name) || name <= previous)
      throw invalid('SignedHeaders is not a sorted list of lower-case names');
    previous = name;
  }
  if (!names.includes('host') && !names.includes(':authority')) throw invalid('host is not among the SignedHeaders');
  return names;
}
