/** Duty: what AWS SDKs sign for a gateway: streams, presigned URLs, signed chunks; and what is refused, with the reason they show. */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { Sha256 } from '@aws-crypto/sha256-js';
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayAnswer, InstanceAnswer } from '../../src/client/answers.ts';
import { signRequest } from '../../src/sandbox/upstreams/aws/sign.ts';
import { leaksIn } from '../fakes/leak-search.ts';
import { signedChunksOf } from '../unit/injection/sigv4/chunk-client.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const Bucket = 'by-gateway';
const region = 'us-east-1';
let sandboxed: SandboxedProxy;
let instance: InstanceAnswer;
let gateway: GatewayAnswer;
let s3: S3Client;

beforeAll(async () => {
  sandboxed = await openSandboxedProxy((policy) =>
    policy.replace('regions: [us-east-1]', '$&\n        presigned: true'),
  );
  instance = await sandboxed.proxy.createInstance({ workload: 'ai-agent' });
  if (instance.gateway === null) throw new Error('no gateway');
  gateway = instance.gateway;
  s3 = new S3Client(settings());
  await s3.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  const upstream = JSON.stringify(sandboxed.proxy.sandbox?.upstreams);
  expect(leaksIn(`${JSON.stringify(sandboxed.auditLines())}${upstream}`, [instance.token.slice(3)])).toEqual([]);
  await sandboxed.close();
});

const settings = (secretAccessKey = instance.awsSecretAccessKey) => ({
  ...{ region, endpoint: `${gateway.url}/aws`, maxAttempts: 1 },
  credentials: { accessKeyId: gateway.awsAccessKeyId, secretAccessKey },
});
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const lastIntent = (): Record<string, unknown> | undefined =>
  sandboxed.auditLines().findLast(({ kind }) => kind === 'intent');

describe('the SDK', () => {
  it.each([
    ['a buffer', (bytes: Buffer) => ({ Body: bytes })],
    ['a stream', (bytes: Buffer) => ({ Body: Readable.from([bytes]), ContentLength: bytes.length })],
  ])('puts %s and gets it again', async (what, body) => {
    const bytes = randomBytes(200_000);
    const Key = `ü b/${what}/+%2F`;
    await s3.send(new PutObjectCommand({ Bucket, Key, ...body(bytes) }));
    expect(lastIntent()).toMatchObject({ authority: 's3.us-east-1.amazonaws.com:443', way: 'gateway', service: 'aws' });
    const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(sha256((await got.Body?.transformToByteArray()) ?? new Uint8Array())).toBe(sha256(bytes));
    const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'ü b/', Delimiter: '/' }));
    expect(listed.CommonPrefixes?.length).toBeGreaterThan(0);
  });

  it.each([
    ['HTTP/2 in clear, as it does by itself', {}],
    ['HTTP/1.1', { requestHandler: new NodeHttpHandler() }],
  ])('of Bedrock is known by its signature too, over %s', async (_version, handler) => {
    const bedrock = new BedrockRuntimeClient({ ...settings(), ...handler });
    const modelId = 'anthropic.claude-3-haiku-20240307-v1:0';
    await bedrock.send(new ConverseCommand({ modelId, messages: [{ role: 'user', content: [{ text: 'hello' }] }] }));
    // The colon of the model is escaped in the path, and once more in what is signed.
    expect(lastIntent()).toMatchObject({
      ...{
        authority: 'bedrock-runtime.us-east-1.amazonaws.com:443',
        injected: 'sigv4 bedrock/us-east-1 signed-payload',
      },
      path: '/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse',
    });
    bedrock.destroy();
  });

  it.each([
    ['another secret key', () => new STSClient(settings('wrong')), 403, 'client_signature_invalid'],
    ['another region', () => new STSClient({ ...settings(), region: 'eu-west-1' }), 404, 'gateway_address_unclear'],
    [
      'the pair of the proxy in place of the one of the gateway',
      () =>
        new STSClient({
          ...settings(),
          credentials: { accessKeyId: instance.awsAccessKeyId, secretAccessKey: instance.awsSecretAccessKey },
        }),
      401,
      'identity_required',
    ],
  ])('is told why %s is refused', async (_what, client, status, name) => {
    const refused = await client()
      .send(new GetCallerIdentityCommand({}))
      .then(
        () => null,
        (error: { name: string; $metadata: { httpStatusCode?: number } }) => error,
      );
    expect(refused).toMatchObject({ name, $metadata: { httpStatusCode: status } });
  });

  it('of S3 reads a refusal that came before the policy', async () => {
    const lost = new S3Client({ ...settings(), region: 'eu-west-1' });
    await expect(lost.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({
      name: 'gateway_address_unclear',
      message: expect.stringContaining('no address of the Service aws is known to be s3 in eu-west-1; add its host'),
    });
  });
});

/** As the presigner of the SDK makes it; `changed` after that. */
async function presigned(method: string, path: string, accessKeyId = gateway.awsAccessKeyId): Promise<string> {
  const { hostname, port, host } = new URL(gateway.url);
  const signer = new SignatureV4({
    ...{ service: 's3', region, sha256: Sha256, uriEscapePath: false },
    credentials: { accessKeyId, secretAccessKey: instance.awsSecretAccessKey },
  });
  const headers = { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  const asked = new HttpRequest({ method, protocol: 'http:', hostname, port: Number(port), path, headers });
  const { query } = await signer.presign(asked, { expiresIn: 60 });
  const pairs = Object.entries(query ?? {}).map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`);
  return `${gateway.url}${path}?${pairs.join('&')}`;
}

describe('a presigned URL', () => {
  it('puts and gets without any other field', async () => {
    const path = `/aws/${Bucket}/presigned%20key`;
    expect((await fetch(await presigned('PUT', path), { method: 'PUT', body: 'by URL' })).status).toBe(200);
    expect(await (await fetch(await presigned('GET', path))).text()).toBe('by URL');
    expect(lastIntent()).toMatchObject({ injected: 'sigv4 s3/us-east-1 presigned unsigned-payload', way: 'gateway' });
    expect(lastIntent()?.['path']).toBe(`/${Bucket}/presigned%20key`);
  });

  it('is good for what was signed alone', async () => {
    const url = await presigned('GET', `/aws/${Bucket}/presigned%20key`);
    expect((await fetch(url.replace('presigned%20key', 'other'))).status).toBe(403);
    expect((await fetch(`${url}&versionId=1`)).status).toBe(403);
    expect((await fetch(url.replace('127.0.0.1', 'localhost'))).status).toBe(403);
    expect((await fetch(url.replace(/AKIACSGW(.)/, (_, first) => `AKIACSGW${first === '7' ? 'A' : '7'}`))).status).toBe(
      401,
    );
  });
});

describe('an upload whose chunks are signed', () => {
  const data = Buffer.alloc(150_000, 'some data ');
  const chunks = [data.subarray(0, 65_536), data.subarray(65_536, 131_072), data.subarray(131_072)];

  async function upload(change: (body: Buffer) => Buffer = (same) => same): Promise<Response> {
    const { host } = new URL(gateway.url);
    const path = `/aws/${Bucket}/chunks`;
    const { awsSecretAccessKey: secretAccessKey } = instance;
    const fields = signRequest(
      {
        ...{
          method: 'PUT',
          host,
          path,
          query: null,
          body: Buffer.alloc(0),
          payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
        },
        fields: [
          ['x-amz-decoded-content-length', `${data.length}`],
          ['content-encoding', 'aws-chunked'],
        ],
      },
      { accessKeyId: gateway.awsAccessKeyId, secretAccessKey },
      { region, service: 's3' },
      Date.now(),
    );
    const value = (name: string): string => fields.find(([each]) => each === name)?.[1] ?? '';
    const seed = value('authorization').slice(-64);
    const signer = { secretAccessKey, amzDate: value('x-amz-date'), region, service: 's3', seed };
    const body = change(signedChunksOf(signer, chunks));
    return fetch(`${gateway.url}${path}`, { method: 'PUT', headers: Object.fromEntries(fields), body });
  }

  it('is signed anew, chunk by chunk', async () => {
    expect((await upload()).status).toBe(200);
    expect(lastIntent()).toMatchObject({ injected: 'sigv4 s3/us-east-1 streaming-signed-payload' });
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'chunks' }));
    expect(sha256((await got.Body?.transformToByteArray()) ?? new Uint8Array())).toBe(sha256(data));
  });

  it('is refused where one was changed', async () => {
    const refused = await upload((body) => {
      body[100_000] = 0x21;
      return body;
    });
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain('the signature of a chunk does not match');
  });
});
