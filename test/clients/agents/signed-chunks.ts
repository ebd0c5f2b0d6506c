/**
 * An uploader that signs each chunk, as minio-go, the .NET SDK and others over plain http do: the AWS SDK's own signer for the head,
 * node:crypto for the chunks, `fetch` through the proxy.
 */
import { createHash, createHmac } from 'node:crypto';
import { request } from 'node:https';
import { Sha256 } from '@aws-crypto/sha256-js';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { done } from './done.ts';

const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } = process.env;
const HOST = 's3.us-east-1.amazonaws.com';
const DATA = Buffer.alloc(300_000, 'signed chunks ');
const CHUNK = 64 * 1_024;

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

async function put(path: string, spoil = false): Promise<{ readonly status: number; readonly text: string }> {
  const signer = new SignatureV4({
    ...{ service: 's3', region: 'us-east-1', sha256: Sha256, uriEscapePath: false },
    credentials: { accessKeyId, secretAccessKey },
  });
  const headers = {
    host: HOST,
    'content-encoding': 'aws-chunked',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': String(DATA.length),
  };
  const signed = await signer.sign(
    new HttpRequest({ method: 'PUT', protocol: 'https:', hostname: HOST, path, headers }),
  );
  const seed = /Signature=([0-9a-f]{64})/.exec(signed.headers['authorization'] ?? '')?.[1] ?? '';
  const date = signed.headers['x-amz-date'] ?? '';
  const scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const key = scope.split('/').reduce<Buffer>((made, part) => hmac(made, part), Buffer.from(`AWS4${secretAccessKey}`));
  const pieces: Buffer[] = [];
  let previous = seed;
  for (let at = 0; at <= DATA.length; at += CHUNK) {
    const chunk = DATA.subarray(at, at + CHUNK);
    previous = hmac(
      key,
      ['AWS4-HMAC-SHA256-PAYLOAD', date, scope, previous, sha256(''), sha256(chunk)].join('\n'),
    ).toString('hex');
    pieces.push(
      Buffer.from(`${chunk.length.toString(16)};chunk-signature=${previous}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    );
    if (chunk.length === CHUNK) continue;
    previous = hmac(
      key,
      ['AWS4-HMAC-SHA256-PAYLOAD', date, scope, previous, sha256(''), sha256('')].join('\n'),
    ).toString('hex');
    pieces.push(Buffer.from(`0;chunk-signature=${previous}\r\n\r\n`));
  }
  const body = Buffer.concat(pieces);
  if (spoil) body[200_000] = 0x21;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        method: 'PUT',
        host: HOST,
        path,
        headers: { ...signed.headers, 'content-length': body.length, expect: '100-continue' },
      },
      (response) => {
        let text = '';
        response.on('data', (bytes: Buffer) => {
          text += bytes.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on('error', (error) => resolve({ status: -1, text: error.message }));
    sent.on('continue', () => sent.end(body));
    sent.setTimeout(20_000, () => reject(new Error('no answer')));
    sent.flushHeaders();
  });
}

const good = await put('/agent-data/chunked.bin');
const bad = await put('/agent-data/spoiled.bin', true);
const s3 = new S3Client({ region: 'us-east-1', maxAttempts: 1 });
const stored = await s3.send(new GetObjectCommand({ Bucket: 'agent-data', Key: 'chunked.bin' }));
const isWhole = DATA.equals((await stored.Body?.transformToByteArray()) ?? new Uint8Array());
await done({ good: good.status, bad: bad.status, why: bad.text, isWhole });
