/**
 * Duty: the requests of the benchmarks, as bytes.
 * Source: AWS IAM User Guide, "Create a signed AWS API request", for the signature that the workload makes with its placeholder.
 */
import { createHash, createHmac } from 'node:crypto';
import { AWS_HOST, PLACEHOLDER, type Way } from '../candidates/candidate.ts';
import type { Instance } from '../candidates/countersign.ts';

const QUERY = 'Action=GetCallerIdentity&Version=2011-06-15';
const SCOPE = ['us-east-1', 'sts', 'aws4_request'];

export function getRequest(way: Way, path = '/v1/models'): Buffer {
  return request(
    way,
    `GET ${path}`,
    `User-Agent: bench\r\nAccept: application/json\r\nAuthorization: ${PLACEHOLDER}\r\n`,
  );
}

export function putHead(way: Way, path: string, bytes: number): Buffer {
  const type = 'Content-Type: application/octet-stream';
  return request(way, `PUT ${path}`, `${type}\r\nAuthorization: ${PLACEHOLDER}\r\nContent-Length: ${bytes}\r\n`);
}

/** GetCallerIdentity, signed with the placeholder pair of the instance. */
export function signedRequest(way: Way, instance: Instance): Buffer {
  const amzDate = new Date().toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const date = amzDate.slice(0, 8);
  const headers = `host:${AWS_HOST}\nx-amz-date:${amzDate}\n`;
  const canonical = ['GET', '/', QUERY, headers, 'host;x-amz-date', sha256('')].join('\n');
  const scope = [date, ...SCOPE].join('/');
  const key = SCOPE.reduce<Buffer>(hmac, hmac(Buffer.from(`AWS4${instance.awsSecretAccessKey}`), date));
  const signature = hmac(key, ['AWS4-HMAC-SHA256', amzDate, scope, sha256(canonical)].join('\n')).toString('hex');
  const credential = `Credential=${instance.awsAccessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`;
  return request(way, `GET /?${QUERY}`, `X-Amz-Date: ${amzDate}\r\nAuthorization: AWS4-HMAC-SHA256 ${credential}\r\n`);
}

/** As many bytes as the signed one, so that the difference between the two is what signing costs. */
export function likeSigned(way: Way, signed: Buffer): Buffer {
  const build = (padding: number): Buffer =>
    request(
      way,
      `GET /?${QUERY}`,
      `X-Amz-Date: 20260101T000000Z\r\nAuthorization: ${PLACEHOLDER}${'0'.repeat(padding)}\r\n`,
    );
  return build(Math.max(0, signed.length - build(0).length));
}

function request(way: Way, line: string, fields: string): Buffer {
  return Buffer.from(`${line} HTTP/1.1\r\nHost: ${way.authority}\r\n${fields}\r\n`, 'latin1');
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
