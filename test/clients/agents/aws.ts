import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { Upload } from '@aws-sdk/lib-storage';
import { done } from './done.ts';

const region = 'us-east-1';
const sts = new STSClient({ region, maxAttempts: 1 });
const s3 = new S3Client({ region, maxAttempts: 1 });
const dynamo = new DynamoDBClient({ region, maxAttempts: 1 });
const bedrock = new BedrockRuntimeClient({ region, maxAttempts: 1 });
const Bucket = 'agent-data';
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const read = async (Key: string): Promise<string> =>
  sha256(
    (await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToByteArray()) ?? new Uint8Array(),
  );

const identity = await sts.send(new GetCallerIdentityCommand({}));
const assumed = await sts
  .send(new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::123456789012:role/admin', RoleSessionName: 'x' }))
  .then(
    () => 'assumed',
    (error: { name?: string; $metadata?: { httpStatusCode?: number } }) => ({
      name: error.name,
      status: error.$metadata?.httpStatusCode,
    }),
  );

await s3.send(new CreateBucketCommand({ Bucket }));
const small = randomBytes(3_000);
await s3.send(new PutObjectCommand({ Bucket, Key: 'a b/+ü//../key.bin', Body: small }));
const streamed = randomBytes(300_000);
await s3.send(
  new PutObjectCommand({
    Bucket,
    Key: 'streamed.bin',
    Body: Readable.from([streamed.subarray(0, 100_000), streamed.subarray(100_000)]),
    ContentLength: streamed.length,
  }),
);
const large = randomBytes(12 * 1024 * 1024);
await new Upload({
  client: s3,
  params: { Bucket, Key: 'multipart.bin', Body: large },
  partSize: 5 * 1024 * 1024,
}).done();
const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
const roundTrips = [
  (await read('a b/+ü//../key.bin')) === sha256(small),
  (await read('streamed.bin')) === sha256(streamed),
  (await read('multipart.bin')) === sha256(large),
];
await s3.send(new DeleteObjectCommand({ Bucket, Key: 'streamed.bin' }));

await dynamo.send(new PutItemCommand({ TableName: 'notes', Item: { id: { S: '1' }, text: { S: 'hello' } } }));
const item = await dynamo.send(new GetItemCommand({ TableName: 'notes', Key: { id: { S: '1' } } }));

const modelId = 'anthropic.claude-3-haiku-20240307-v1:0';
const converse = await bedrock.send(
  new ConverseCommand({ modelId, messages: [{ role: 'user', content: [{ text: 'hello' }] }] }),
);
let events = 0;
const stream = await bedrock.send(
  new InvokeModelWithResponseStreamCommand({
    modelId,
    contentType: 'application/json',
    body: JSON.stringify({ prompt: 'hello' }),
  }),
);
for await (const event of stream.body ?? []) if (event.chunk !== undefined) events += 1;

await done({
  arn: identity.Arn,
  assumed,
  roundTrips,
  keys: listed.Contents?.map((object) => object.Key),
  item: item.Item?.['text']?.S,
  converse: converse.output?.message?.content?.[0]?.text,
  events,
});
