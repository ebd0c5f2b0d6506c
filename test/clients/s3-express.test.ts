/** Duty: the SDK for JavaScript at a bucket of S3 Express: it opens a session by itself, and never gets hold of the real one. */
import { writeFileSync } from 'node:fs';
import { Agent, createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { headOf } from '../unit/injection/materials.ts';
import { awsAccepts } from '../unit/injection/sigv4/client.ts';
import { openProxyWorld, type ProxyWorld } from '../wire/proxy-world.ts';
import { TestCa } from '../wire/upstream-world.ts';

const Bucket = 'made-by-the-test--use1-az4--x-s3';
const HOST = `${Bucket}.s3express-use1-az4.us-east-1.amazonaws.com`;
const SESSION = {
  id: 'ASIASESSIONSESSION00',
  secret: 'sEsSion/secret+KEY/0123456789abcdefghijk',
  token: 'IQoJREALsession//token==',
};

let ca: TestCa;
let server: Server;
let world: ProxyWorld;
let agent: Agent;
let s3: S3Client;
const objects = new Map<string, Buffer>();
/** `CreateSession`, or method and key, and whether the signature was right. */
const calls: string[] = [];

beforeAll(async () => {
  ca = new TestCa('an S3 Express');
  server = createServer({ ...pairOf(ca.leaf(`DNS:${HOST}`)) }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', rawHeaders } = request;
      const fields: [string, string][] = [];
      for (let i = 0; i < rawHeaders.length; i += 2) fields.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '']);
      const head = headOf(method, url, fields);
      const hash = head.headers.get('x-amz-content-sha256') ?? '';
      const isOpening = url.includes('session');
      const [, keyId = ''] = /Credential=([^/]+)\//.exec(head.headers.get('authorization') ?? '') ?? [];
      const secret = isOpening
        ? (world.proxy.sandbox?.registry.findAwsKey(keyId)?.secretAccessKey ?? '')
        : SESSION.secret;
      const isRight =
        awsAccepts(head, [], secret, hash) &&
        (isOpening || head.headers.get('x-amz-s3session-token') === SESSION.token);
      calls.push(`${isOpening ? 'CreateSession' : `${method} ${head.path}`} ${isRight}`);
      response.statusCode = isRight ? 200 : 403;
      if (method === 'PUT') objects.set(head.path, Buffer.concat(chunks));
      response.end(isOpening ? opened() : method === 'GET' ? objects.get(head.path) : undefined);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  world = await openProxyWorld('{}', (policy, folder) => {
    writeFileSync(join(folder, 'express.pem'), ca.cert);
    return policy
      .replaceAll('s3.us-east-1.amazonaws.com', HOST)
      .replace('./root.pem', './root.pem, ./express.pem')
      .replace(
        new RegExp(`host: ${HOST}, address: 127.0.0.1, dialPort: [0-9]+`),
        `host: ${HOST}, address: 127.0.0.1, dialPort: ${port}`,
      )
      .replace('services: [s3], regions', 'services: [s3, s3express], regions')
      .replace(
        '  rules:\n',
        '  rules:\n    - { services: [aws], calls: ["s3express:CreateSession"], action: allow, mintsCredentials: true }\n',
      );
  });
  agent = new Agent({ keepAlive: true });
  agent.createConnection = (_options, done) => {
    world.tunnel(`${HOST}:443`).then(
      (socket) => done?.(null, socket),
      (error: Error) => done?.(error, undefined as never),
    );
    return undefined;
  };
  const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = world.instance;
  s3 = new S3Client({
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({ httpsAgent: agent }),
  });
});
afterAll(async () => {
  s3.destroy();
  agent.destroy();
  await world.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  ca.remove();
});

const pairOf = ({ key, cert }: { readonly key: string; readonly cert: string }) => ({ key, cert });

const opened = (): string =>
  `<CreateSessionResult><Credentials><SessionToken>${SESSION.token}</SessionToken><SecretAccessKey>${SESSION.secret}</SecretAccessKey>` +
  `<AccessKeyId>${SESSION.id}</AccessKeyId><Expiration>${new Date(Date.now() + 300_000).toISOString()}</Expiration></Credentials></CreateSessionResult>`;

it('writes and reads with one session, whose real key stays with the proxy', async () => {
  await s3.send(new PutObjectCommand({ Bucket, Key: 'a//b c', Body: 'some bytes' }));
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'a//b c' }));
  expect(await Body?.transformToString()).toBe('some bytes');
  expect(calls).toEqual(['CreateSession true', 'PUT /a//b%20c true', 'GET /a//b%20c true']);
  const held = JSON.stringify(
    await s3.config.s3ExpressIdentityProvider.getS3ExpressIdentity(await s3.config.credentials(), { Bucket }),
  );
  expect(held).toMatch(/countersign-session-/);
  for (const secret of Object.values(SESSION)) expect(held).not.toContain(secret);
  const ways = world
    .audit()
    .map(({ injected }) => injected)
    .filter(Boolean);
  expect(ways).toEqual(expect.arrayContaining([expect.stringMatching(/ session /)]));
});
