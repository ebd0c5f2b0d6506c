/**
 * Duty: what a request to the gateway says of where it goes: a Service by its path, a host of AWS by its signature.
 * In → Out: raw path → name of the Service and the path there; head → the scope that it is signed for.
 * Holds: the path of the Service keeps its bytes; a path that two readers could cut in two ways is refused; no text is searched
 *   more than once.
 * Fails: `gateway_path_malformed`.
 * Source: RFC 3986 §3.3; AWS IAM User Guide, "Elements of an AWS API request signature".
 * Not here: which Services there are (policy/gateway-address.ts).
 */
import { EgressError } from '../core/errors.ts';
import { gatewayTokensIn, holdsGatewayKey } from '../core/gateway-key.ts';
import type { RequestHead } from '../core/message.ts';
import { holdsUnescaped } from '../core/percent-escapes.ts';

export interface ServicePath {
  /** Qualified: `openai-api`, `team/openai-api`. */
  readonly service: string;
  /** As it stands in the path: `team~openai-api`. */
  readonly segment: string;
  /** With its first slash. */
  readonly path: string;
}

/** Names of documents; `~` stands for the slash behind a namespace, which no name has. */
const SEGMENT = /^(?:[a-z0-9][a-z0-9.-]{0,252}~)?[a-z0-9][a-z0-9.-]{0,252}$/;
const UP = /^(?:\.|%2e){2}$/i;
const HERE = /^(?:\.|%2e)$/i;

const malformed = (detail: string): EgressError => new EgressError('gateway_path_malformed', { detail });

/** @throws EgressError `gateway_path_malformed`. */
export function readServicePath(path: string): ServicePath {
  const end = path.indexOf('/', 1);
  const segment = path.slice(1, end === -1 ? path.length : end);
  if (!path.startsWith('/') || segment === '') throw malformed('write the name of a Service first: /<Service>/<path>');
  if (segment.includes('%')) throw malformed('the name of the Service is escaped; write it as the policy does');
  if (!SEGMENT.test(segment)) throw malformed('the first segment of the path cannot be the name of a Service');
  const rest = end === -1 ? '' : path.slice(end);
  if (rest.includes('..') || /%2e/i.test(rest)) refuseClimbing(rest);
  if (holdsUnescaped(path, holdsKey))
    throw malformed('a key stands in the path, which is on record; send it in Proxy-Authorization');
  return { service: segment.replace('~', '/'), segment, path: rest === '' ? '/' : rest };
}

/** Whoever resolves dot segments would read another Service. Others are the Service's own affair, and names of objects in S3. */
function refuseClimbing(path: string): void {
  let depth = 0;
  for (const segment of path.split('/')) {
    if (UP.test(segment)) depth -= 1;
    else if (segment !== '' && !HERE.test(segment)) depth += 1;
    if (depth < 0) throw malformed('a dot segment leads out of the Service');
  }
}

const holdsKey = (read: string): boolean => holdsGatewayKey(read) || gatewayTokensIn(read).length > 0;

/** Of a credential scope what says where a request goes. */
export interface SignedPlace {
  readonly service: string;
  /** Null: SigV4A, which is for many regions. */
  readonly region: string | null;
}

const CREDENTIAL = /Credential=\w{1,128}\/[0-9]{8}\/(?:([a-z0-9-]{1,64})\/)?([A-Za-z0-9-]{1,64})\/aws4_request/y;
const IN_QUERY = /^X-Amz-Credential=(.{1,400})$/;
const SCHEME = /^AWS4-(?:HMAC-SHA256|ECDSA-P256-SHA256) /;

/** Null: it is not signed for AWS, or not in a way that can be read. Whether the signature is right shows later. */
export function signedPlaceOf({ headers, query }: Pick<RequestHead, 'headers' | 'query'>): SignedPlace | null {
  const authorization = headers.get('authorization') ?? '';
  if (SCHEME.test(authorization)) return placeAt(authorization, authorization.indexOf('Credential='));
  if (query === null || !query.includes('X-Amz-Credential=')) return null;
  for (const part of query.split('&')) {
    const credential = IN_QUERY.exec(part)?.[1];
    if (credential !== undefined) return placeAt(`Credential=${credential.replaceAll(/%2f/gi, '/')}`, 0);
  }
  return null;
}

function placeAt(text: string, at: number): SignedPlace | null {
  if (at === -1) return null;
  CREDENTIAL.lastIndex = at;
  const [, region = null, service] = CREDENTIAL.exec(text) ?? [];
  return service === undefined ? null : { service, region };
}
