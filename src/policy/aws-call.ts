/**
 * Duty: which AWS call a request is, read from every place where a service could read it.
 * In → Out: host, head, form body → service and action, or why they cannot be told.
 * Holds: two places that name different actions, or a name spelled in an unusual way, are ambiguous and never resolved.
 * Source: AWS query, JSON 1.x, REST and RPC v2 CBOR protocols (smithy.io, protocols); SigV4 credential scope.
 * Not here: whether the call may be made (minting.ts, judge.ts); verifying the signature (injection/sigv4).
 */
import type { RequestHead } from '../core/message.ts';
import type { AwsHost } from './aws-host.ts';
import { isRestOnly, restActions } from './aws-rest-calls.ts';
import { s3Action } from './aws-s3-call.ts';
import { parseForm } from './form.ts';
import type { PathReading } from './path-match.ts';

export interface AwsCall {
  /** Signing names that could serve it: one, or host's guess and scope where they differ. */
  readonly services: readonly string[];
  /** AWS does not name the host, so that any service could answer there. */
  readonly isForeignHost: boolean;
  /** Null: the call has a name, but not one that can be read off. */
  readonly action: string | null;
  /** The service would have named its call in one of the places read. */
  readonly isNamedByRequest: boolean;
}

export type AwsReading = { readonly kind: 'call'; readonly call: AwsCall } | AmbiguousCall;

export interface AmbiguousCall {
  readonly kind: 'ambiguous';
  readonly reason: 'call_ambiguous' | 'path_ambiguous';
  readonly detail: string;
}

/** What a decision about an AWS call looks at. `form` null: the body was not read. */
export interface AwsRequest {
  readonly host: AwsHost | null;
  readonly head: RequestHead;
  readonly form: Buffer | null;
  path(): PathReading;
}

const ACTION = /^[A-Za-z][A-Za-z0-9]{0,127}$/;
const TARGET = /^[A-Za-z0-9_.]*\.([A-Za-z][A-Za-z0-9]{0,127})$/;
const SERVICE = /^[a-z0-9-]{1,64}$/;
const JSON_TYPE = /^application\/(?:x-amz-json-1\.[01]|json)$/;
/** A parameter that a lenient service could take for `Action`. */
const ODD_ACTION_NAME = /^[\0 \t]*(?:action|operation|x-amz-target)[\0 \t]*$/i;
/** Services that know the query protocol and no other. */
const QUERY_ONLY: ReadonlySet<string> = new Set(
  'autoscaling cloudformation ec2 elasticache elasticbeanstalk elasticloadbalancing iam rds redshift sdb ses sns sts'.split(
    ' ',
  ),
);
const FORM_TYPE = 'application/x-www-form-urlencoded';
const S3_SERVICES: ReadonlySet<string> = new Set(['s3', 's3express', 's3-outposts', 's3-object-lambda']);

const ambiguous = (detail: string): AmbiguousCall => ({ kind: 'ambiguous', reason: 'call_ambiguous', detail });

/** Whether the call may be named in a form body: then the decision must see it. */
export function readsForm(host: AwsHost | null, head: RequestHead): boolean {
  return (host === null || !isRestOnly(host.service)) && head.method === 'POST' && hasFormType(head);
}

function hasFormType(head: RequestHead): boolean {
  for (const { key, value } of head.headers.fields)
    if (key === 'content-type' && mediaType(value) === FORM_TYPE) return true;
  return false;
}

function mediaType(value: string): string {
  const end = value.indexOf(';');
  return (end === -1 ? value : value.slice(0, end)).replace(/[ \t]+$/, '').toLowerCase();
}

/** What the request calls, once `awsServices` has told where. */
export function readAwsCall(request: AwsRequest, services: readonly string[]): AwsReading {
  const isForeignHost = request.host === null;
  const isRest = services.every(isRestOnly);
  const found = [isRest && !isForeignHost ? [] : namedActions(request, services, isRest)];
  for (const service of services) found.push(pathActions(request, service));
  const actions = new Set<string>();
  for (const names of found) {
    if ('kind' in names) return names;
    for (const name of names) actions.add(name);
  }
  if (actions.size > 1) return ambiguous(`the request names more than one call: ${[...actions].join(', ')}`);
  const [action = null] = actions;
  return { kind: 'call', call: { services, isForeignHost, action, isNamedByRequest: !isRest } };
}

/**
 * Signing names of the services that could serve the request. The host settles it where AWS names the host; the credential
 * scope is the workload's own word.
 */
export function awsServices({ host, head }: Pick<AwsRequest, 'host' | 'head'>): readonly string[] | AmbiguousCall {
  const scope = scopeServiceOf(head);
  if (scope === 'ambiguous') return ambiguous('the credential scope cannot be read');
  if (host === null)
    return scope === null ? ambiguous('neither the host nor a credential scope tells the service') : [scope];
  if (scope === null || scope === host.service || (S3_SERVICES.has(scope) && S3_SERVICES.has(host.service)))
    return [host.service];
  if (host.isCertain) return ambiguous(`the credential scope says ${scope} and the host is one of ${host.service}`);
  return [host.service, scope];
}

/** Service of the credential scope in Authorization or in `X-Amz-Credential`; null where the request is not signed. */
function scopeServiceOf(head: RequestHead): string | null | 'ambiguous' {
  const credentials: string[] = [];
  for (const { key, value } of head.headers.fields) {
    if (key !== 'authorization' || !value.startsWith('AWS4-')) continue;
    credentials.push(credentialOf(value));
  }
  if (head.query !== null && /credential|%/i.test(head.query)) {
    const parameters = parseForm(head.query);
    if (parameters === null) return 'ambiguous';
    for (const { name, value } of parameters) if (name.toLowerCase() === 'x-amz-credential') credentials.push(value);
  }
  if (credentials.length === 0) return null;
  const scope = (credentials[0] ?? '').split('/');
  const service = scope[scope.length - 2] ?? '';
  return credentials.length === 1 && scope.length >= 4 && SERVICE.test(service) ? service : 'ambiguous';
}

const SIGNATURE_END = /^[0-9a-f]{64}$/;
/** By the text before the digits of the signature, which a client repeats with every request of a day. */
const knownCredentials = new Map<string, string>();
const MAX_KNOWN = 512;
const MAX_KNOWN_LENGTH = 1_024;

/** Empty, which no scope is, where not exactly one part names it. */
function credentialOf(authorization: string): string {
  const before = authorization.slice(0, -64);
  const isUsual = before.length <= MAX_KNOWN_LENGTH && SIGNATURE_END.test(authorization.slice(-64));
  const known = isUsual ? knownCredentials.get(before) : undefined;
  if (known !== undefined) return known;
  const found: string[] = [];
  for (const part of authorization.slice(authorization.indexOf(' ') + 1).split(',')) {
    const credential = /^[ \t]*Credential=([!-~]+)$/.exec(part)?.[1];
    if (credential !== undefined) found.push(credential);
  }
  const [only = ''] = found.length === 1 ? found : [];
  if (isUsual) {
    // Workloads choose these texts, so that what is remembered of them has a bound.
    if (knownCredentials.size >= MAX_KNOWN) knownCredentials.clear();
    knownCredentials.set(before, only);
  }
  return only;
}

/** Actions by method and path; S3 keys may be spelled in any way, the paths of other services may not. */
function pathActions(request: AwsRequest, service: string): string[] | AmbiguousCall {
  const { host, head } = request;
  if (S3_SERVICES.has(service) && host?.part !== 'control') {
    const action = s3Action(head, host?.hasBucket ?? false);
    if (action === 'ambiguous') return ambiguous('the query cannot be read in one way only');
    const grant =
      host === null && head.path.startsWith('/v20180820/')
        ? restActions('s3-control', head.method, request.path())
        : [];
    return action === null ? grant : [...new Set([action, ...grant])];
  }
  if (!isRestOnly(service)) return [];
  const reading = request.path();
  if (reading.ambiguity !== null)
    return { kind: 'ambiguous', reason: 'path_ambiguous', detail: `the path has ${reading.ambiguity}` };
  return restActions(S3_SERVICES.has(service) ? 's3-control' : service, head.method, reading);
}

/** Actions named in X-Amz-Target, in the query, in the form and in an RPC v2 path. */
function namedActions(request: AwsRequest, services: readonly string[], isRest: boolean): string[] | AmbiguousCall {
  const { head, form } = request;
  const targets = head.headers.getAll('x-amz-target').map((target) => TARGET.exec(target)?.[1] ?? '');
  if (targets.length > 1 || targets.includes(''))
    return ambiguous('X-Amz-Target is not one of the form Service_Version.Action');
  const operation = isRest ? [] : rpcOperation(request.path());
  if ('kind' in operation) return operation;
  const texts = [head.query ?? ''];
  if (head.method === 'POST' && hasFormType(head)) {
    const refusal = unreadableForm(head, form);
    if (refusal !== null) return ambiguous(refusal);
    texts.push(form?.toString('latin1') ?? '');
  } else if (!isRest && hasBody(head) && !isOtherProtocol(head, targets, operation, services)) {
    return ambiguous(`a body that is not declared as ${FORM_TYPE} could name another call`);
  }
  const actions = [...targets, ...operation];
  for (const text of texts) {
    const found = actionParameters(text);
    if (found === null) return ambiguous('the Action parameter is repeated or spelled in an unusual way');
    actions.push(...found);
  }
  return actions;
}

function unreadableForm(head: RequestHead, form: Buffer | null): string | null {
  if (form === null) return 'the form body was not read';
  const types = head.headers.getAll('content-type');
  if (types.length !== 1) return 'more than one Content-Type';
  const parameters = /;(.*)$/.exec(types[0] ?? '')?.[1];
  if (parameters !== undefined && !/^[ \t]*charset="?utf-8"?[ \t]*$/i.test(parameters))
    return 'the form has parameters other than charset=utf-8';
  return head.headers.getAll('content-encoding').every((coding) => coding.toLowerCase() === 'identity')
    ? null
    : 'the form is encoded';
}

function hasBody({ framing }: RequestHead): boolean {
  return framing.kind !== 'none' && !(framing.kind === 'length' && framing.length === 0);
}

/**
 * A body that no lenient service would read as a form: JSON with a target, CBOR with an operation. A service that knows
 * the query protocol alone ignores both marks, so for it they prove nothing.
 */
function isOtherProtocol(
  head: RequestHead,
  targets: readonly string[],
  operation: readonly string[],
  services: readonly string[],
): boolean {
  if (head.method !== 'POST' || services.some((service) => QUERY_ONLY.has(service))) return false;
  const types = head.headers.getAll('content-type').map(mediaType);
  if (types.length !== 1) return false;
  if (targets.length === 1) return JSON_TYPE.test(types[0] ?? '');
  return operation.length === 1 && types[0] === 'application/cbor';
}

/** Values of `Action`; null where it is repeated, oddly named or oddly spelled. */
function actionParameters(text: string): string[] | null {
  if (text === '') return [];
  const parameters = parseForm(text);
  if (parameters === null) return null;
  const found: string[] = [];
  for (const { name, value } of parameters) {
    if (name === 'Action') found.push(value);
    else if (ODD_ACTION_NAME.test(name)) return null;
  }
  return found.length <= 1 && found.every((value) => ACTION.test(value)) ? found : null;
}

/** The action of `/service/<Name>/operation/<Action>`, if the path is one. */
function rpcOperation(reading: PathReading): string[] | AmbiguousCall {
  const { ambiguity, raw, folded } = reading;
  if (ambiguity !== null) return { kind: 'ambiguous', reason: 'path_ambiguous', detail: `the path has ${ambiguity}` };
  if (folded[folded.length - 2] !== 'operation') return [];
  const action = raw[raw.length - 1] ?? '';
  return folded[folded.length - 4] === 'service' && ACTION.test(action)
    ? [action]
    : ambiguous('the path of an RPC v2 call cannot be read');
}
