/**
 * Duty: an S3 that others wrote (versitygw) behind the proxy: AWS SDK for JavaScript, boto3 and hand-made uploads, every signature,
 *   chunk and checksum verified by code that is not ours.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { Sha256 } from '@aws-crypto/sha256-js';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signRequest } from '../../src/sandbox/upstreams/aws/sign.ts';
import { signedChunksOf } from '../unit/injection/sigv4/chunk-client.ts';
import { openProxyWorld, type ProxyWorld } from '../wire/proxy-world.ts';
import { TestCa } from '../wire/upstream-world.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';

const HOST = 's3.us-east-1.amazonaws.com';
const KEY = { AccessKeyId: 'AKIAVERSITYGWTEST001', SecretAccessKey: 'versitygw/secret+access/key/0123456789ab' };
const Bucket = 'made-by-the-test';
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(isUnprepared)(suiteName('an S3 server of another house'), () => {
  let folder: string;
  let ca: TestCa;
  let server: ChildProcess;
  let port: number;
  let world: ProxyWorld;
  let s3: S3Client;
  let agent: Agent;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-s3-'));
    ca = new TestCa('an S3 of another house');
    const pair = ca.leaf(`DNS:${HOST}`);
    for (const [name, text] of [
      ['cert.pem', pair.cert],
      ['key.pem', pair.key],
      ['key.json', JSON.stringify({ Version: 1, ...KEY })],
    ] as const)
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    for (const name of ['data', 'meta']) mkdirSync(join(folder, name));
    port = await freePort();
    const words = [
      '--port',
      `127.0.0.1:${port}`,
      '--access',
      KEY.AccessKeyId,
      '--secret',
      KEY.SecretAccessKey,
      '--cert',
      join(folder, 'cert.pem'),
      '--key',
      join(folder, 'key.pem'),
      '--quiet',
      'posix',
      '--sidecar',
      join(folder, 'meta'),
      join(folder, 'data'),
    ];
    server = spawn(join(clientsFolder('s3'), 'versitygw'), words, {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'] ?? '' },
    });
    while (!(await isListening(port))) await new Promise((resolve) => setTimeout(resolve, 50));
    world = await openProxyWorld('{}', (policy, place) => {
      writeFileSync(join(place, 's3-root.pem'), ca.cert);
      return policy
        .replace(
          new RegExp(`host: ${HOST}, address: 127.0.0.1, dialPort: [0-9]+`),
          `host: ${HOST}, address: 127.0.0.1, dialPort: ${port}`,
        )
        .replace('./root.pem', './root.pem, ./s3-root.pem')
        .replace(
          /\{ vault: \{[^}]*path: aws\/sts[^}]*\} \}/,
          `{ exec: { command: [/bin/cat, ${join(folder, 'key.json')}] } }`,
        )
        .replace('services: [s3], regions', 'presigned: true, services: [s3], regions');
    });
    agent = new Agent({ keepAlive: true, maxSockets: 4 });
    agent.createConnection = (_options, done) => {
      world.tunnel(`${HOST}:443`).then(
        (socket) => done?.(null, socket),
        (error: Error) => done?.(error, undefined as never),
      );
      return undefined;
    };
    const credentials = {
      accessKeyId: world.instance.awsAccessKeyId,
      secretAccessKey: world.instance.awsSecretAccessKey,
    };
    s3 = new S3Client({
      region: 'us-east-1',
      credentials,
      forcePathStyle: true,
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({ httpsAgent: agent }),
    });
    await s3.send(new CreateBucketCommand({ Bucket }));
  }, 60_000);

  afterAll(async () => {
    s3?.destroy();
    agent?.destroy();
    await world?.close();
    const ended = once(server, 'exit');
    server.kill();
    await ended;
    ca.remove();
    rmSync(folder, { recursive: true });
  });

  const read = async (Key: string): Promise<string> => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    return sha256((await Body?.transformToByteArray()) ?? new Uint8Array());
  };
  const waysOnRecord = (): unknown[] => world.audit().map(({ injected }) => injected);

  it('verifies: the placeholder is worth nothing there', async () => {
    const { awsSecretAccessKey: secretAccessKey } = world.instance;
    const direct = new S3Client({
      region: 'us-east-1',
      endpoint: `https://127.0.0.1:${port}`,
      credentials: { accessKeyId: KEY.AccessKeyId, secretAccessKey },
      forcePathStyle: true,
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ rejectUnauthorized: false }) }),
    });
    await expect(direct.send(new ListObjectsV2Command({ Bucket }))).rejects.toThrow(
      /signature we calculated does not match/,
    );
    direct.destroy();
  });

  it.each(['plain', 'a b/+ü/(1)!*.bin', "it's & x=y%zz?;,@:$", '日本/語', 'trailing./dots..x'])(
    'the SDK for JavaScript writes and reads the key %s',
    async (Key) => {
      const bytes = randomBytes(3_000);
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: bytes, Metadata: { note: 'two  blanks' } }));
      expect(await read(Key)).toBe(sha256(bytes));
      const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: Key }));
      expect(listed.Contents?.map((each) => each.Key)).toContain(Key);
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    },
  );

  it('a stream goes in unsigned chunks with a trailer, a large object in parts', async () => {
    const bytes = randomBytes(300_000);
    await s3.send(
      new PutObjectCommand({
        Bucket,
        Key: 'streamed',
        Body: Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]),
        ContentLength: bytes.length,
      }),
    );
    const large = randomBytes(11 * 1024 * 1024);
    await new Upload({ client: s3, params: { Bucket, Key: 'parts', Body: large }, partSize: 5 * 1024 * 1024 }).done();
    expect([await read('streamed'), await read('parts')]).toEqual([sha256(bytes), sha256(large)]);
    expect(waysOnRecord()).toContain('sigv4 s3/us-east-1 streaming-unsigned-payload-trailer');
  });

  it.each([false, true])('an upload in signed chunks is taken (trailer: %s)', async (hasTrailer) => {
    const data = randomBytes(150_000);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(data));
    const trailer = hasTrailer ? `x-amz-checksum-crc32:${checksum.toString('base64')}` : null;
    const path = `/${Bucket}/signed-chunks`;
    const payload = `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${hasTrailer ? '-TRAILER' : ''}`;
    const announced: [string, string][] = [
      ['content-encoding', 'aws-chunked'],
      ['x-amz-decoded-content-length', `${data.length}`],
    ];
    if (hasTrailer) announced.push(['x-amz-trailer', 'x-amz-checksum-crc32']);
    const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = world.instance;
    const scope = { region: 'us-east-1', service: 's3' };
    const fields = signRequest(
      { method: 'PUT', host: HOST, path, query: null, fields: announced, body: Buffer.alloc(0), payload },
      { accessKeyId, secretAccessKey },
      scope,
      Date.now(),
    );
    const value = (name: string): string => fields.find(([each]) => each === name)?.[1] ?? '';
    const signer = { secretAccessKey, amzDate: value('x-amz-date'), ...scope, seed: value('authorization').slice(-64) };
    const chunks = [data.subarray(0, 65_536), data.subarray(65_536, 131_072), data.subarray(131_072)];
    const body = signedChunksOf(signer, chunks, trailer);
    expect(await ask('PUT', path, [...fields, ['content-length', `${body.length}`]], body)).toMatchObject({
      status: 200,
    });
    expect(await read('signed-chunks')).toBe(sha256(data));
    expect(waysOnRecord()).toContain(`sigv4 s3/us-east-1 streaming-signed-payload${hasTrailer ? '-trailer' : ''}`);
  });

  it('presigned requests are taken', async () => {
    const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = world.instance;
    const signer = new SignatureV4({
      service: 's3',
      region: 'us-east-1',
      credentials: { accessKeyId, secretAccessKey },
      sha256: Sha256,
      uriEscapePath: false,
    });
    const presigned = async (method: string, headers: Record<string, string>): Promise<string> => {
      const path = `/${Bucket}/presigned`;
      const request = new HttpRequest({
        method,
        protocol: 'https:',
        hostname: HOST,
        path,
        headers: { host: HOST, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...headers },
      });
      const { query } = await signer.presign(request, { expiresIn: 60 });
      return `${path}?${Object.entries(query ?? {})
        .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
        .join('&')}`;
    };
    const bytes = randomBytes(5_000);
    const target = await presigned('PUT', { 'x-amz-meta-note': 'from the query' });
    expect(await ask('PUT', target, [['content-length', '5000']], bytes)).toMatchObject({ status: 200 });
    const answer = await ask('GET', await presigned('GET', {}), [], null);
    expect(sha256(answer.body)).toBe(sha256(bytes));
    const { Metadata } = await s3.send(new HeadObjectCommand({ Bucket, Key: 'presigned' }));
    expect(Metadata).toEqual({ note: 'from the query' });
  });

  it('boto3 writes and reads: bytes, a file, parts, odd keys, a presigned URL', { timeout: 120_000 }, async () => {
    const { port: proxyPort } = new URL(world.proxy.proxyUrl);
    const env = {
      PATH: process.env['PATH'] ?? '',
      HTTPS_PROXY: `http://${world.instance.id}:${world.instance.token}@127.0.0.1:${proxyPort}`,
      AWS_CA_BUNDLE: world.proxy.bundleFile,
      SSL_CERT_FILE: world.proxy.bundleFile,
      AWS_ACCESS_KEY_ID: world.instance.awsAccessKeyId,
      AWS_SECRET_ACCESS_KEY: world.instance.awsSecretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
      BUCKET: Bucket,
    };
    // Not at once: the proxy lives in this process.
    const { stdout, stderr } = await promisify(execFile)(
      join(clientsFolder('python'), 'bin', 'python'),
      ['-c', BOTO3],
      {
        env,
        cwd: folder,
        timeout: 110_000,
      },
    );
    expect(stderr).toBe('');
    expect(stdout).toBe('True True True True True\n');
  });

  function ask(
    method: string,
    path: string,
    fields: readonly (readonly [string, string])[],
    body: Buffer | null,
  ): Promise<{ status: number; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const headers = Object.fromEntries([...fields, ['host', HOST]]);
      const sent = httpsRequest({ agent, host: HOST, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      });
      sent.on('error', reject);
      sent.end(body ?? undefined);
    });
  }
});

const BOTO3 = `
import boto3, io, os, urllib.request
from botocore.config import Config
config = Config(s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"}, signature_version="s3v4", retries={"total_max_attempts": 1})
s3 = boto3.client("s3", region_name="us-east-1", config=config)
bucket = os.environ["BUCKET"]
results = []
def check(key, data):
    results.append(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == data)
s3.put_object(Bucket=bucket, Key="boto/five", Body=b"bytes")
check("boto/five", b"bytes")
s3.put_object(Bucket=bucket, Key="boto/a b+c/(ü)~.bin", Body=io.BytesIO(b"x" * 70000), ChecksumAlgorithm="SHA256")
check("boto/a b+c/(ü)~.bin", b"x" * 70000)
data = os.urandom(20 * 1024 * 1024)
open("large.bin", "wb").write(data)
s3.upload_file("large.bin", bucket, "boto/large")
check("boto/large", data)
s3.put_object(Bucket=bucket, Key="boto/required", Body=b"no checksum", ContentType="text/plain")
check("boto/required", b"no checksum")
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "boto/five"}, ExpiresIn=60)
results.append(urllib.request.urlopen(url, timeout=20).read() == b"bytes")
print(*results)
`;

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
