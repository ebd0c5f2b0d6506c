/**
 * Duty: a refusal by AWS in the words of each protocol: S3's XML, the query protocol's XML, JSON.
 * In → Out: failure and service → answer.
 * Holds: a signature that does not match is answered as the real service does, canonical request, session token and
 *   all: what comes back here is what the proxy must take out.
 */
import { bytesAnswer, type Judgement, newId, type SandboxAnswer } from '../message.ts';

export interface AwsFailure {
  /** S3's code where S3 has one. */
  readonly code: string;
  readonly status: number;
  readonly message: string;
  /** Further elements of S3's error. */
  readonly details?: readonly (readonly [name: string, value: string])[];
}

/** What the other services call the failures of signing. */
const QUERY_CODES: ReadonlyMap<string, string> = new Map([
  ['InvalidAccessKeyId', 'InvalidClientTokenId'],
  ['InvalidToken', 'InvalidClientTokenId'],
  ['AccessDenied', 'MissingAuthenticationToken'],
  ['AuthorizationHeaderMalformed', 'IncompleteSignature'],
  ['RequestTimeTooSkewed', 'SignatureDoesNotMatch'],
]);
const JSON_CODES: ReadonlyMap<string, string> = new Map([
  ['InvalidAccessKeyId', 'UnrecognizedClientException'],
  ['InvalidToken', 'UnrecognizedClientException'],
  ['ExpiredToken', 'ExpiredTokenException'],
  ['AccessDenied', 'MissingAuthenticationTokenException'],
  ['AuthorizationHeaderMalformed', 'IncompleteSignatureException'],
  ['SignatureDoesNotMatch', 'InvalidSignatureException'],
  ['RequestTimeTooSkewed', 'InvalidSignatureException'],
]);

export function s3Failure(judgement: Judgement, failure: AwsFailure): SandboxAnswer {
  const requestId = newId('').toUpperCase();
  const details = (failure.details ?? []).map(([name, value]) => `<${name}>${escapeXml(value)}</${name}>`).join('');
  const text =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${failure.code}</Code><Message>${escapeXml(failure.message)}` +
    `</Message>${details}<RequestId>${requestId}</RequestId><HostId>sandbox</HostId></Error>`;
  return xmlAnswer(judgement, failure.status, text, [['x-amz-request-id', requestId]]);
}

export function queryFailure(judgement: Judgement, failure: AwsFailure): SandboxAnswer {
  const code = QUERY_CODES.get(failure.code) ?? failure.code;
  const requestId = newId('');
  const text =
    `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code>` +
    `<Message>${escapeXml(explained(failure))}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
  return xmlAnswer(judgement, failure.status, text, [['x-amzn-requestid', requestId]]);
}

/** The code stands in the field and in the body: SDKs read either. */
export function jsonFailure(judgement: Judgement, failure: AwsFailure, contentType: string): SandboxAnswer {
  const code = JSON_CODES.get(failure.code) ?? failure.code;
  const value = { __type: `com.amazon.coral.service#${code}`, message: explained(failure) };
  return bytesAnswer(judgement, failure.status, contentType, Buffer.from(JSON.stringify(value)), [
    ['x-amzn-errortype', code],
    ['x-amzn-requestid', newId('')],
  ]);
}

export function xmlAnswer(
  judgement: Judgement,
  status: number,
  text: string,
  headers: readonly (readonly [string, string])[] = [],
): SandboxAnswer {
  return bytesAnswer(judgement, status, 'application/xml', Buffer.from(text), headers);
}

export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#13;');
}

export function unescapeXml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#34;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}

/** Outside S3 the two texts stand in the message. */
function explained(failure: AwsFailure): string {
  const canonical = failure.details?.find(([name]) => name === 'CanonicalRequest')?.[1];
  const toSign = failure.details?.find(([name]) => name === 'StringToSign')?.[1];
  if (canonical === undefined || toSign === undefined) return failure.message;
  return (
    `${failure.message}\n\nThe Canonical String for this request should have been\n'${canonical}'\n\n` +
    `The String-to-Sign should have been\n'${toSign}'\n`
  );
}
