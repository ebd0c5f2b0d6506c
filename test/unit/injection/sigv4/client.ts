/** Duty: a client that signs as the SDKs do, and AWS's side of the check; neither shares code with the proxy's signer. */
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { SecretField } from '../../../../src/core/headers.ts';
import type { RequestHead } from '../../../../src/core/message.ts';
import {
  canonicalRequest,
  signatureOf,
  signingKey,
  stringToSign,
} from '../../../../src/sandbox/upstreams/aws/canonical.ts';
import { bytesOf, headOf, PLACEHOLDERS } from '../materials.ts';

export interface ClientCall {
  readonly service?: string;
  readonly region?: string;
  readonly host?: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: Readonly<Record<string, string | string[]>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** False: without X-Amz-Content-Sha256, as boto3 does. */
  readonly checksum?: boolean;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  readonly encodesPathAgain?: boolean;
  readonly at?: Date;
}

const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

export async function clientSigned(call: ClientCall = {}): Promise<RequestHead> {
  const { service = 's3', region = 'us-east-1', method = 'GET', path = '/', query = {}, body = '' } = call;
  const host = call.host ?? `${service}.${region}.amazonaws.com`;
  const signer = new SignatureV4({
    service,
    region,
    credentials: {
      accessKeyId: call.accessKeyId ?? PLACEHOLDERS.awsAccessKeyId,
      secretAccessKey: call.secretAccessKey ?? PLACEHOLDERS.awsSecretAccessKey,
      ...(call.sessionToken === undefined ? {} : { sessionToken: call.sessionToken }),
    },
    sha256: Sha256,
    uriEscapePath: call.encodesPathAgain ?? service !== 's3',
    applyChecksum: call.checksum ?? true,
  });
  const request = new HttpRequest({
    method,
    protocol: 'https:',
    hostname: host,
    path,
    query: { ...query },
    headers: { host, ...call.headers },
    body,
  });
  const signed = await signer.sign(request, { signingDate: call.at ?? new Date('2026-01-15T11:58:00Z') });
  const pairs = Object.entries(query).flatMap(([key, values]) =>
    (Array.isArray(values) ? values : [values]).map((each) => `${escaped(key)}=${escaped(each)}`),
  );
  const fields = Object.entries(signed.headers).map(([name, value]) => [name, value] as const);
  const framing = { kind: 'length', length: Buffer.byteLength(body) } as const;
  return headOf(
    method,
    pairs.length === 0 ? path : `${path}?${pairs.join('&')}`,
    fields,
    body === '' ? {} : { framing },
  );
}

/** Whether AWS would take it: the signature in `head` under that key, with the token field at the end of the head. */
export function awsAccepts(
  head: RequestHead,
  secretFields: readonly SecretField[],
  secretAccessKey: string,
  payloadHash: string,
): boolean {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
  const [, date = '', region = '', service = '', names = '', signature] =
    pattern.exec(head.headers.get('authorization') ?? '') ?? [];
  const all = [
    ...[...head.headers].map(({ key, value }) => ({ key, value })),
    ...secretFields.map((field) => ({ key: field.name.toLowerCase(), value: bytesOf(field) })),
  ];
  const signedNames = names.split(';');
  // S3 refuses these unsigned.
  if (
    all.some(
      ({ key }) => (key.startsWith('x-amz-') || key === 'host' || key === 'content-md5') && !signedNames.includes(key),
    )
  )
    return false;
  const signed = signedNames.map((name) => ({
    name,
    values: all.filter(({ key }) => key === name).map(({ value }) => value),
  }));
  if (signed.some(({ values }) => values.length === 0)) return false;
  const scope = { date, region, service };
  const canonical = canonicalRequest({
    method: head.method,
    path: head.path,
    query: head.query,
    signed,
    payloadHash,
    service,
  });
  return (
    signature ===
    signatureOf(
      signingKey(secretAccessKey, scope),
      stringToSign(head.headers.get('x-amz-date') ?? '', scope, canonical),
    )
  );
}
