/**
 * Duty: turns a denial or an error into a response; the only place that chooses a status.
 * In → Out: denial or EgressError → head and body, from the tables in core/.
 * Holds: strangers get a bare status, and where they know no proxy the code in the form that their SDK shows; an identified workload gets a
 *   problem document with a stable code; nothing that came over the wire is repeated.
 * Source: RFC 9457 (problem documents), RFC 9209 (Proxy-Status), RFC 9110 §11.7.1 (407); for AWS clients the error documents of S3
 *   (API reference, "Error responses") and of the AWS query protocol (smithy.io, awsQuery); grpc/grpc, PROTOCOL-HTTP2 (trailers
 *   alone) and statuscodes.
 */
import { type EgressError, ERRORS, type FailureRow } from './core/errors.ts';
import { isGrpc } from './core/grpc.ts';
import { HeaderList } from './core/headers.ts';
import { type Body, bodyOf, EMPTY_BODY, type RequestHead, type ResponseHead } from './core/message.ts';
import { type Denial, REASONS } from './core/reasons.ts';
import type { Connection } from './listener/connection.ts';

export interface Rescue {
  readonly head: ResponseHead;
  readonly body: Body;
}

export interface Asker {
  /** Details go to identified workloads only. */
  readonly isIdentified: boolean;
  /** Id of the exchange or connection, to be quoted when somebody asks; null before there is one. */
  readonly id: string | null;
  /** What the asker's error parser reads; absent: problem documents. */
  readonly dialect?: Dialect;
  /** It takes us for its destination, so a status for proxies would mean nothing to it. */
  readonly knowsNoProxy?: boolean;
}

/** By base URL or redirected. */
export const callsDirectly = ({ way }: Pick<Connection, 'way'>): boolean => way === 'gateway' || way === 'redirected';

/**
 * `s3` and `aws-query`: the XML that AWS SDKs take errors from; AWS's JSON protocols take a problem document for theirs. `grpc`: a
 * status of gRPC, which its clients take for an answer. `text`: what git shows, which shows nothing else.
 */
export type Dialect = 'problem' | 's3' | 'aws-query' | 'grpc' | 'text';

/** Of whoever calls by gRPC, is git, or signs for AWS, by the service in the credential scope and the type of the body. */
export function dialectOf(head: RequestHead): Dialect {
  if (head.version === '2' && isGrpc(head.headers)) return 'grpc';
  if (head.headers.get('user-agent')?.startsWith('git/') === true) return 'text';
  const authorization = head.headers.get('authorization') ?? '';
  const at = /^AWS4-(?:HMAC|ECDSA-P256)-SHA256 /.test(authorization) ? authorization.indexOf('Credential=') : -1;
  // From one place only: a pattern that may begin anywhere takes quadratic time.
  const scope = at === -1 ? null : SCOPE.exec(authorization.slice(at, at + MAX_CREDENTIAL_LENGTH));
  if (scope?.[1] === 's3') return 's3';
  const isForm = head.headers.get('content-type')?.startsWith('application/x-www-form-urlencoded') === true;
  return scope !== null && (isForm || head.query?.includes('Action=') === true) ? 'aws-query' : 'problem';
}

/** SigV4A has no region in it. */
const SCOPE = /^Credential=[^/,]+\/[0-9]{8}\/(?:[^/,]*\/)?([^/,]+)\/aws4_request/;
const MAX_CREDENTIAL_LENGTH = 512;
const PROXY_NAME = 'countersign';

/** Null where there is nobody left to answer. */
export function rescue(failure: Denial | EgressError, asker: Asker): Rescue | null {
  const code = 'reason' in failure ? failure.reason : failure.code;
  const row: FailureRow = 'reason' in failure ? REASONS[failure.reason] : ERRORS[failure.code];
  if (row.status === 0) return null;
  const headers = HeaderList.of(
    ['Proxy-Status', `${PROXY_NAME}; error=${row.proxyError}; details="${code}"`],
    ['Cache-Control', 'no-store'],
  );
  const knowsNoProxy = asker.knowsNoProxy === true;
  const status = row.status === 407 && knowsNoProxy ? 401 : row.status;
  if (status === 407) headers.append('Proxy-Authenticate', 'Basic realm="countersign", charset="UTF-8"');
  if (status === 401) headers.append('WWW-Authenticate', 'Bearer realm="countersign"');
  if (row.retryable) headers.append('Retry-After', String(Math.ceil((failure.retryAfterMs ?? 1_000) / 1_000)));
  const dialect = asker.dialect ?? 'problem';
  if (dialect === 'grpc') return grpcStatus(headers, failure, row);
  const isTold = asker.isIdentified || knowsNoProxy;
  const detail = asker.isIdentified ? failure.detail : null;
  const rule = 'reason' in failure ? failure.rule : null;
  const told: Told = { code, status, detail: detail ?? row.title, row, id: asker.id, rule };
  const body = isTold ? documentFor(dialect, told) : Buffer.alloc(0);
  if (body.length > 0) {
    headers.append('Content-Type', MEDIA_TYPES[dialect]);
    // AWS SDKs with JSON protocols take the error's name from here (awsJson1_1, restJson1).
    headers.append('X-Amzn-ErrorType', code);
  }
  const framing = { kind: 'length', length: body.length } as const;
  // Many clients (Go, Java, Python, npm) show of a refusal, and all of them of a refused CONNECT, the status line alone.
  const reason = asker.isIdentified ? sentenceOf(told).replace(/[^\x20-\x7e]/g, '?') : reasonPhrase(status);
  return {
    head: { status, reason, version: '1.1', headers, framing, keepAlive: true },
    body: bodyOf(body),
  };
}

const MEDIA_TYPES: Readonly<Record<Exclude<Dialect, 'grpc'>, string>> = {
  problem: 'application/problem+json',
  s3: 'application/xml',
  'aws-query': 'application/xml',
  text: 'text/plain; charset=utf-8',
};

const sentenceOf = ({ detail, row }: Pick<Told, 'detail' | 'row'>): string => `countersign: ${row.title}: ${detail}`;

/** By HTTP status; whatever else fails is 13, or 14 where the same call may succeed later. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 3,
  403: 7,
  407: 16,
  408: 4,
  413: 8,
  414: 3,
  417: 3,
  421: 3,
  429: 8,
  431: 3,
  501: 12,
  504: 4,
};
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** A call that failed is an answer of HTTP that succeeded: without a body, the status among its fields. */
function grpcStatus(headers: HeaderList, failure: Denial | EgressError, row: FailureRow): Rescue {
  const status = GRPC_STATUS[row.status] ?? (row.retryable ? UNAVAILABLE : INTERNAL);
  headers.append('Content-Type', 'application/grpc');
  headers.append('Grpc-Status', String(status));
  headers.append('Grpc-Message', percentEncoded(sentenceOf({ detail: failure.detail ?? row.title, row })));
  const framing = { kind: 'length', length: 0 } as const;
  return { head: { status: 200, reason: 'OK', version: '2', headers, framing, keepAlive: true }, body: EMPTY_BODY };
}

/** Visible ASCII and blanks as they are. */
const percentEncoded = (text: string): string =>
  text.replace(/[^\x20-\x7e]|%/g, (character) => encodeURIComponent(character));

interface Told {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly row: FailureRow;
  readonly id: string | null;
  readonly rule: string | null;
}

function documentFor(dialect: Dialect, told: Told): Buffer {
  if (dialect === 'problem') return problem(told);
  if (dialect === 'text') return Buffer.from(`${sentenceOf(told)}\n`, 'utf8');
  const { code, id } = told;
  const message = escapeXml(sentenceOf(told));
  const error = `<Code>${code}</Code><Message>${message}</Message>`;
  const request = `<RequestId>${escapeXml(id ?? '')}</RequestId>`;
  const text =
    dialect === 's3'
      ? `<Error>${error}${request}</Error>`
      : `<ErrorResponse><Error><Type>Sender</Type>${error}</Error>${request}</ErrorResponse>`;
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`, 'utf8');
}

const escapeXml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** `error` repeats the essentials in the shape that the SDKs of OpenAI and Anthropic show to their users, `message` for those of AWS. */
function problem(told: Told): Buffer {
  const { code, status, detail, row, id, rule } = told;
  const message = sentenceOf(told);
  const document = {
    type: `urn:countersign:problem:${code}`,
    title: row.title,
    status,
    detail,
    message,
    code,
    instance: id,
    rule,
    retryable: row.retryable,
    error: { type: code, code, message, request_id: id },
  };
  return Buffer.from(`${JSON.stringify(document)}\n`, 'utf8');
}

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

const reasonPhrase = (status: number): string => PHRASES[status] ?? '';
