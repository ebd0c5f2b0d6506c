/** Duty: SigV4A's other side: a key pair by big integers, a client that signs with it, and AWS's check. */
import { createECDH, createHmac, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { SecretField } from '../../../../src/core/headers.ts';
import type { RequestHead } from '../../../../src/core/message.ts';
import { canonicalRequest, sha256Hex } from '../../../../src/sandbox/upstreams/aws/canonical.ts';
import { bytesOf, headOf, PLACEHOLDERS } from '../materials.ts';

const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');

export function keyOf(accessKeyId: string, secretAccessKey: string): KeyObject {
  for (let counter = 1; counter < 255; counter++) {
    const input = `\0\0\0\x01AWS4-ECDSA-P256-SHA256\0${accessKeyId}${String.fromCharCode(counter)}\0\0\x01\0`;
    const digest = createHmac('sha256', `AWS4A${secretAccessKey}`).update(input, 'latin1').digest('hex');
    const number = BigInt(`0x${digest}`);
    if (number > ORDER - 2n) continue;
    const d = Buffer.from((number + 1n).toString(16).padStart(64, '0'), 'hex');
    const exchange = createECDH('prime256v1');
    exchange.setPrivateKey(d);
    const point = exchange.getPublicKey();
    const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((each) => each.toString('base64url'));
    const key = { kty: 'EC', crv: 'P-256', d: d.toString('base64url'), x: x ?? '', y: y ?? '' };
    return createPrivateKey({ format: 'jwk', key });
  }
  throw new Error('no key');
}

export interface EcdsaCall {
  readonly service?: string;
  readonly host: string;
  readonly regionSet?: string | null;
  readonly method?: string;
  readonly target?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly payloadHash?: string;
  readonly secretAccessKey?: string;
}

export const ECDSA_DATE = '20260115T115800Z';

/** Signed in its header with the placeholder pair. */
export function ecdsaSigned(call: EcdsaCall): RequestHead {
  const { service = 's3', host, method = 'GET', target = '/a//b', payloadHash = sha256Hex('') } = call;
  const fields: (readonly [string, string])[] = [
    ['host', host],
    ['x-amz-date', ECDSA_DATE],
    ['x-amz-content-sha256', payloadHash],
    ...(call.fields ?? []),
  ];
  const { regionSet = '*' } = call;
  if (regionSet !== null) fields.push(['x-amz-region-set', regionSet]);
  const head = headOf(method, target, fields);
  const names = fields.map(([name]) => name).sort();
  const text = stringToSign(head, names, service, payloadHash, []);
  const key = keyOf(PLACEHOLDERS.awsAccessKeyId, call.secretAccessKey ?? PLACEHOLDERS.awsSecretAccessKey);
  const signature = sign('sha256', Buffer.from(text, 'latin1'), key).toString('hex');
  const credential = `${PLACEHOLDERS.awsAccessKeyId}/20260115/${service}/aws4_request`;
  const value = `AWS4-ECDSA-P256-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  head.headers.append('authorization', value);
  return head;
}

const AUTHORIZATION =
  /^AWS4-ECDSA-P256-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]+)$/;

/** Whether AWS would take it: the signature in `head` under that key, with the token field at the end of the head. */
export function awsAcceptsEcdsa(
  head: RequestHead,
  secretFields: readonly SecretField[],
  secretAccessKey: string,
  payloadHash: string,
): boolean {
  const [, accessKeyId = '', date = '', service = '', names = '', signature = ''] =
    AUTHORIZATION.exec(head.headers.get('authorization') ?? '') ?? [];
  const amzDate = head.headers.get('x-amz-date') ?? '';
  const unsigned = [...head.headers].some(({ key }) => key.startsWith('x-amz-') && !names.split(';').includes(key));
  if (unsigned || !amzDate.startsWith(date)) return false;
  const text = stringToSign(head, names.split(';'), service, payloadHash, secretFields);
  const key = createPublicKey(keyOf(accessKeyId, secretAccessKey));
  return verify('sha256', Buffer.from(text, 'latin1'), key, Buffer.from(signature, 'hex'));
}

function stringToSign(
  head: RequestHead,
  names: readonly string[],
  service: string,
  payloadHash: string,
  secretFields: readonly SecretField[],
): string {
  const signed = names.map((name) => ({
    name,
    values: [
      ...head.headers.getAll(name),
      ...secretFields.filter((field) => field.name.toLowerCase() === name).map(bytesOf),
    ],
  }));
  const { method, path, query } = head;
  const canonical = canonicalRequest({ method, path, query, signed, payloadHash, service });
  const amzDate = head.headers.get('x-amz-date') ?? '';
  const scope = `${amzDate.slice(0, 8)}/${service}/aws4_request`;
  return `AWS4-ECDSA-P256-SHA256\n${amzDate}\n${scope}\n${sha256Hex(Buffer.from(canonical, 'latin1'))}`;
}
