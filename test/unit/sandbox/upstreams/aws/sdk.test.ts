import { Readable } from 'node:stream';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxUpstreams } from '../../../../../src/sandbox/upstreams/server.ts';
import { AWS_KEY, awsHandlerFor, ENDED_AWS_KEY_ID, LONG_LIVED_KEY_ID, openUpstreams } from '../sandbox-client.ts';

let sandbox: SandboxUpstreams;
let config: {
  region: string;
  credentials: typeof AWS_KEY;
  maxAttempts: number;
  requestHandler: ReturnType<typeof awsHandlerFor>;
};

beforeAll(async () => {
  sandbox = await openUpstreams();
  config = { region: 'us-east-1', credentials: AWS_KEY, maxAttempts: 1, requestHandler: awsHandlerFor(sandbox) };
});

afterAll(async () => {
  config.requestHandler.destroy();
  await sandbox.close();
});

describe('the real STS client against the sandbox', () => {
  it('learns who it is', async () => {
    const identity = await new STSClient(config).send(new GetCallerIdentityCommand({}));
    expect(identity).toMatchObject({ Account: '123456789012' });
    expect(identity.Arn).toContain(AWS_KEY.accessKeyId);
  });

  it('is not given credentials', async () => {
    const command = new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::123456789012:role/other', RoleSessionName: 'x' });
    await expect(new STSClient(config).send(command)).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });

  it('is told that a signature does not match, that a key is unknown, that a token has ended', async () => {
    const ask = (credentials: {
      accessKeyId: string;
      secretAccessKey: string;
      sessionToken?: string;
    }): Promise<unknown> => new STSClient({ ...config, credentials }).send(new GetCallerIdentityCommand({}));
    await expect(ask({ ...AWS_KEY, secretAccessKey: 'wrong' })).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
    await expect(ask({ ...AWS_KEY, accessKeyId: 'ASIANOTOFTHESANDBOX0' })).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
    await expect(ask({ ...AWS_KEY, sessionToken: 'other' })).rejects.toMatchObject({ name: 'InvalidClientTokenId' });
    await expect(ask({ ...AWS_KEY, accessKeyId: ENDED_AWS_KEY_ID })).rejects.toMatchObject({ name: 'ExpiredToken' });
    const { secretAccessKey } = AWS_KEY;
    expect(await ask({ accessKeyId: LONG_LIVED_KEY_ID, secretAccessKey })).toMatchObject({ Account: '123456789012' });
  });
});

describe.each([
  ['virtual-hosted', false],
  ['path-style', true],
])('the real S3 client against the sandbox, %s', (style, forcePathStyle) => {
  const Bucket = `bucket-${style}`;
  let s3: S3Client;

  beforeAll(async () => {
    s3 = new S3Client({ ...config, forcePathStyle });
    await s3.send(new CreateBucketCommand({ Bucket }));
  });

  it.each(['plain.txt', 'a//b', 'a+b c/ü€😀.txt', 'x/../y', "!()*'~._-", 'q?x=1&y#z%41'])(
    'puts and gets back an object whose key is %s',
    async (Key) => {
      const put = await s3.send(
        new PutObjectCommand({ Bucket, Key, Body: `content of ${Key}`, Metadata: { mark: 'here' } }),
      );
      expect(put.ETag).toMatch(/^"[0-9a-f]{32}"$/);
      const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
      expect(await got.Body?.transformToString()).toBe(`content of ${Key}`);
      expect(got.Metadata).toEqual({ mark: 'here' });
      const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: Key }));
      expect(listed.Contents?.map((entry) => entry.Key)).toEqual([Key]);
      expect((await s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength).toBe(
        Buffer.byteLength(`content of ${Key}`),
      );
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
      await expect(s3.send(new GetObjectCommand({ Bucket, Key }))).rejects.toMatchObject({ name: 'NoSuchKey' });
    },
  );

  it.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] satisfies ChecksumAlgorithm[])(
    'takes a body of unknown length with a trailer of %s, and a whole one with a header',
    async (algorithm) => {
      const content = Buffer.alloc(150_000, 'ab1');
      const Body = Readable.from([content.subarray(0, 70_000), content.subarray(70_000)]);
      const streamed = { Bucket, Key: 'streamed', Body, ContentLength: content.length, ChecksumAlgorithm: algorithm };
      await s3.send(new PutObjectCommand(streamed));
      const seen = sandbox.exchanges().at(-1);
      expect(seen?.headers).toContainEqual(['x-amz-content-sha256', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER']);
      const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'streamed', ChecksumMode: 'ENABLED' }));
      // Looking at each of 150,000 bytes by itself would hold up the server for seconds.
      expect(content.equals((await got.Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
      await s3.send(new PutObjectCommand({ Bucket, Key: 'whole', Body: content, ChecksumAlgorithm: algorithm }));
      const whole = await s3.send(new HeadObjectCommand({ Bucket, Key: 'whole', ChecksumMode: 'ENABLED' }));
      expect(whole[`Checksum${algorithm}`]).toBe(got[`Checksum${algorithm}`]);
      expect(whole[`Checksum${algorithm}`]).toBeDefined();
    },
  );

  it('takes a stream without any checksum as UNSIGNED-PAYLOAD', async () => {
    const client = new S3Client({ ...config, forcePathStyle, requestChecksumCalculation: 'WHEN_REQUIRED' });
    const Body = Readable.from([Buffer.from('hello')]);
    await client.send(new PutObjectCommand({ Bucket, Key: 'unsigned', Body, ContentLength: 5 }));
    expect(sandbox.exchanges().at(-1)?.headers).toContainEqual(['x-amz-content-sha256', 'UNSIGNED-PAYLOAD']);
  });

  it('takes a body of 3 MiB, for which the SDK expects 100-continue', async () => {
    const Body = Buffer.alloc(3 * 1024 * 1024, 7);
    await s3.send(new PutObjectCommand({ Bucket, Key: 'large', Body }));
    const ranged = await s3.send(new GetObjectCommand({ Bucket, Key: 'large', Range: 'bytes=10-19' }));
    expect(ranged).toMatchObject({ ContentLength: 10, ContentRange: `bytes 10-19/${Body.length}` });
    await ranged.Body?.transformToByteArray();
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'large' }));
  });

  it('takes a multipart upload by lib-storage', async () => {
    const content = Buffer.alloc(11 * 1024 * 1024, 'xyz');
    const Body = Readable.from([content.subarray(0, 6_000_000), content.subarray(6_000_000)]);
    const upload = new Upload({ client: s3, params: { Bucket, Key: 'multi part/ü', Body }, partSize: 5 * 1024 * 1024 });
    expect((await upload.done()).ETag).toMatch(/-3"$/);
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'multi part/ü' }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(content)).toBe(true);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'multi part/ü' }));
  });

  it('forgets an upload that is aborted', async () => {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
    await s3.send(new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'x' }));
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'k', UploadId }));
    const again = new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'x' });
    await expect(s3.send(again)).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('lists in pages and by delimiter, and keeps a bucket that is not empty', async () => {
    const Prefix = 'list/';
    for (const name of ['a', 'b', 'c/1', 'c/2', 'd']) {
      await s3.send(new PutObjectCommand({ Bucket, Key: `${Prefix}${name}`, Body: name }));
    }
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: 2 }));
    expect(page).toMatchObject({ IsTruncated: true, KeyCount: 2 });
    const ContinuationToken = page.NextContinuationToken;
    const rest = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }));
    expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['list/c/1', 'list/c/2', 'list/d']);
    const grouped = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, Delimiter: '/' }));
    expect(grouped.CommonPrefixes).toEqual([{ Prefix: 'list/c/' }]);
    await s3.send(new HeadBucketCommand({ Bucket }));
    await expect(s3.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketNotEmpty' });
    await expect(s3.send(new HeadBucketCommand({ Bucket: 'not-there' }))).rejects.toMatchObject({ name: 'NotFound' });
  });

  it('lists the buckets', async () => {
    const { Buckets } = await s3.send(new ListBucketsCommand({}));
    expect(Buckets?.map(({ Name }) => Name)).toContain(Bucket);
  });
});

describe('the real DynamoDB client against the sandbox', () => {
  it('puts, gets and deletes an item, and checks the CRC of each answer', async () => {
    const dynamo = new DynamoDBClient(config);
    const Key = { pk: { S: 'order' }, sk: { N: '1' } };
    await dynamo.send(new PutItemCommand({ TableName: 'orders', Item: { ...Key, note: { S: 'ünïcode' } } }));
    const got = await dynamo.send(new GetItemCommand({ TableName: 'orders', Key }));
    expect(got.Item).toEqual({ ...Key, note: { S: 'ünïcode' } });
    expect((await dynamo.send(new ListTablesCommand({}))).TableNames).toEqual(['orders']);
    await dynamo.send(new DeleteItemCommand({ TableName: 'orders', Key }));
    expect((await dynamo.send(new GetItemCommand({ TableName: 'orders', Key }))).Item).toBeUndefined();
    const bad = new PutItemCommand({ TableName: 'orders', Item: { other: { S: 'x' } } });
    await expect(dynamo.send(bad)).rejects.toMatchObject({ name: 'ValidationException' });
  });

  it('is told that a signature does not match', async () => {
    const dynamo = new DynamoDBClient({ ...config, credentials: { ...AWS_KEY, secretAccessKey: 'wrong' } });
    await expect(dynamo.send(new ListTablesCommand({}))).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  });
});

describe('the real Bedrock client against the sandbox', () => {
  const modelId = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
  const profile = 'arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0';
  const messages = [{ role: 'user' as const, content: [{ text: 'good day' }] }];
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'good day' }] });

  it.each([modelId, profile])('invokes %s', async (id) => {
    const { body: bytes } = await new BedrockRuntimeClient(config).send(new InvokeModelCommand({ modelId: id, body }));
    expect(JSON.parse(Buffer.from(bytes).toString())).toMatchObject({
      content: [{ text: 'The sandbox heard: good day' }],
    });
  });

  it('converses', async () => {
    const answer = await new BedrockRuntimeClient(config).send(new ConverseCommand({ modelId, messages }));
    expect(answer.output?.message?.content).toEqual([{ text: 'The sandbox heard: good day' }]);
  });

  it('streams both forms as event frames whose CRCs the SDK checks', async () => {
    const bedrock = new BedrockRuntimeClient(config);
    const invoked = await bedrock.send(new InvokeModelWithResponseStreamCommand({ modelId, body }));
    const chunks: string[] = [];
    for await (const event of invoked.body ?? []) chunks.push(Buffer.from(event.chunk?.bytes ?? []).toString());
    expect(chunks.length).toBeGreaterThan(3);
    expect(JSON.parse(chunks[0] ?? '')).toMatchObject({ delta: { text: 'The ' } });
    const conversed = await bedrock.send(new ConverseStreamCommand({ modelId, messages }));
    const texts: string[] = [];
    for await (const event of conversed.stream ?? []) texts.push(event.contentBlockDelta?.delta?.text ?? '');
    expect(texts.join('')).toBe('The sandbox heard: good day');
  });
});
