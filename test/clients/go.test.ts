/** Go: net/http, the AWS SDK v2 and gRPC, in a program that knows of the proxy only what its environment says. */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GrpcUpstream, openGrpcUpstream } from '../fakes/grpc-upstream.ts';
import { TestCa } from '../wire/upstream-world.ts';
import { ACCESS_POINT, EVENT_ENDPOINT, type GlobalEndpoints, openGlobalEndpoints } from './global-endpoints.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';

type Results = Record<string, Readonly<Record<string, unknown>>>;

let ca: TestCa;
let grpc: GrpcUpstream;
let endpoints: GlobalEndpoints;
let sandboxed: SandboxedProxy;
let program: string;

/** The quickstart with HTTP/2 at OpenAI, presigned URLs, hosts without a region and a service of gRPC. */
function wider(policy: string, rootFile: string): string {
  const resolve = [
    { host: 'grpc.test', address: '127.0.0.1', dialPort: grpc.port },
    ...[ACCESS_POINT, EVENT_ENDPOINT].map((host) => ({ host, address: '127.0.0.1', dialPort: endpoints.port })),
  ];
  const added = [
    { kind: 'Service', metadata: { name: 'grpc' }, spec: { addresses: [{ address: 'grpc.test' }] } },
    {
      kind: 'CredentialBinding',
      metadata: { name: 'ai-agent-grpc' },
      spec: {
        workloadID: 'ai-agent',
        credentialSource: 'vault-internal',
        services: ['grpc'],
        propagation: { injection: { bearer: {} } },
      },
    },
  ].map((document) => `---\n${JSON.stringify({ apiVersion: 'countersign.dev/v1alpha1', ...document })}\n`);
  const rules = [
    '    - { services: [grpc], paths: [/test.Echo/Forbidden], action: deny }',
    '    - { services: [grpc], methods: [POST], action: allow }',
  ];
  return (
    policy
      .replace('  sandbox:\n', `  upstream: ${JSON.stringify({ extraRoots: [rootFile], resolve })}\n  sandbox:\n`)
      .replace('provider: openai #', 'http2: prefer\n  provider: openai #')
      .replace('provider: aws', 'http2: prefer\n  provider: aws')
      .replace('    - { address: sts.amazonaws.com }\n', (line) =>
        [line, ...[ACCESS_POINT, EVENT_ENDPOINT].map((host) => `    - { address: ${host} }\n`)].join(''),
      )
      .replace(
        'services: [sts, s3, dynamodb, bedrock]',
        'presigned: true\n        services: [sts, s3, dynamodb, bedrock, events]',
      )
      .replace('regions: [us-east-1]', 'regions: [us-east-1, "*"]')
      .replace('  rules:\n', `  rules:\n${rules.join('\n')}\n`) + added.join('')
  );
}

async function outputOf(name: string, env: Record<string, string> = {}): Promise<Results> {
  const { stdout, stderr, code, ...memory } = await sandboxed.runAgent([program, name], { env });
  // Where an answer has no checksum, the SDK for AWS says so.
  expect(stderr.replace(/^SDK .*checksum.*\n/gm, '')).toBe('');
  expect(code).toBe(0);
  expect(memory).toMatchObject({ secretsFound: [], placeholdersFound: 1 });
  expect(memory.secretsKnown).toBeGreaterThan(0);
  return JSON.parse(stdout.split('\n')[0] ?? '') as Results;
}

describe.skipIf(isUnprepared)(suiteName('Go'), { timeout: 90_000 }, () => {
  beforeAll(async () => {
    program = join(clientsFolder('go'), 'agent');
    ca = new TestCa('an upstream of the Go clients');
    grpc = await openGrpcUpstream(ca.leaf('DNS:grpc.test'));
    const secretOf = (id: string): string => sandboxed.proxy.sandbox?.registry.findAwsKey(id)?.secretAccessKey ?? '';
    endpoints = await openGlobalEndpoints(ca.leaf(`DNS:${ACCESS_POINT},DNS:${EVENT_ENDPOINT}`), secretOf);
    const rootFile = join(tmpdir(), `countersign-go-root-${process.pid}.pem`);
    writeFileSync(rootFile, ca.cert);
    sandboxed = await openSandboxedProxy((policy) => wider(policy, rootFile));
  });
  afterAll(async () => {
    await sandboxed.close();
    await grpc.close();
    await endpoints.close();
    ca.remove();
  });

  it.each(['HTTP/2.0', 'HTTP/1.1'])('net/http calls, streams, uploads and reads a denial in %s', async (Proto) => {
    const results = await outputOf('http', Proto === 'HTTP/1.1' ? { GODEBUG: 'http2client=0' } : {});
    expect(results).toMatchObject({
      get: { Proto, Status: 200, Body: expect.stringContaining('"object":"list"') },
      stream: { Proto, Status: 200, Events: 7, Body: expect.stringMatching(/\ndata: \[DONE\]\n\n$/) },
      upload: { Proto, Status: 200, Body: expect.stringContaining('"bytes":2000000') },
      chunked: { Proto, Status: 200, Body: expect.stringContaining('"bytes":2000000') },
      denied: { Proto, Status: 403, Body: expect.stringContaining('countersign: A rule of the egress policy denies') },
    });
    // All that Go shows of a refused CONNECT is the text of its status line.
    expect(results['unknown']?.['Body']).toBe(
      'Get "https://example.org/": countersign: No Service of the policy names this destination: no Service has the address example.org:443',
    );
  });

  it.each([
    ['HTTP/2', 'http/2'],
    ['HTTP/1.1', undefined],
  ])('the AWS SDK calls, uploads in every way and streams, with default settings, in %s', async (_, protocol) => {
    const before = sandboxed.auditLines().length;
    const results = await outputOf('aws', protocol === undefined ? { GODEBUG: 'http2client=0' } : {});
    expect(results).toMatchObject({
      ...{ identity: '', bucket: '', putItem: '', getItem: '', converse: '', converseStream: '', streamEnd: '' },
      arn: expect.stringMatching(/^arn:aws:sts::[0-9]{12}:assumed-role\//),
      wholes: { 'a b/+ü//../key.bin': true, 'streamed.bin': true, 'multipart.bin': true },
      presigned: true,
      item: { Value: 'hello' },
      events: 8,
      absent: expect.stringContaining('NoSuchKey'),
      assumed: expect.stringMatching(/StatusCode: 403.* api error mints_credentials: countersign: The call would hand/),
    });
    const intents = sandboxed
      .auditLines()
      .slice(before)
      .filter(({ kind }) => kind === 'intent');
    expect(new Set(intents.map((line) => line['protocol']))).toEqual(new Set([protocol]));
    const ways = intents.map((line) => line['injected']);
    for (const service of ['sts', 's3', 'dynamodb', 'bedrock'])
      expect(ways).toContainEqual(expect.stringContaining(`sigv4 ${service}/us-east-1`));
  });

  it('the AWS SDK signs for hosts without a region with SigV4A, and so does the proxy', async () => {
    expect(await outputOf('global')).toEqual({ object: 'from everywhere', events: '', failed: 0 });
    expect(endpoints.calls).toEqual([`GET ${ACCESS_POINT} * true`, `POST ${EVENT_ENDPOINT} * true`]);
  });

  it('what must not be signed is refused with its reason, in the error that the SDK shows', async () => {
    const before = sandboxed.auditLines().length;
    const { realKey, realKeyS3, region, scope, twice } = await outputOf('misuse');
    const foreign = /client_signature_invalid: countersign: .*: signed with another access key than the placeholder/;
    expect(realKey).toMatch(foreign);
    expect(realKeyS3).toMatch(foreign);
    expect(region).toMatch(/countersign: No Service of the policy names .* dynamodb\.eu-west-1\.amazonaws\.com:443$/);
    expect(scope).toMatch(/signing_unsupported: countersign: .*eu-west-1/);
    expect(twice).toContain('the request is signed in more than one way; AWS takes one');
    const lines = sandboxed.auditLines().slice(before);
    expect(lines.length).toBeGreaterThanOrEqual(5);
    expect(lines.filter(({ kind }) => kind === 'intent')).toEqual([]);
  });

  it('gRPC goes through CONNECT by itself, in all kinds of calls', async () => {
    const { unary, failed, denied, down, up, both } = await outputOf('grpc');
    const echo = { Header: expect.stringMatching(/^Bearer \*+$/), Trailer: expect.stringMatching(/^Bearer \*+$/) };
    expect(unary).toMatchObject({ Code: 0, Replies: ['hello'], ...echo });
    expect(down).toMatchObject({ Code: 0, Replies: ['reply 0', 'reply 1', 'reply 2'], ...echo });
    expect(up).toMatchObject({ Code: 0, Replies: ['one two three'] });
    expect(both).toMatchObject({ Code: 0, Replies: ['heard a', 'heard b', 'heard c'], ...echo });
    expect(failed).toMatchObject({ Code: 5, Details: 'no such thing: ü 100%' });
    expect(denied).toMatchObject({ Code: 7, Details: expect.stringMatching(/^countersign: A rule of the egress/) });
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    for (const seen of grpc.seen) {
      expect(seen).toMatchObject({ 'x-own': 'kept' });
      expect(secrets.map((secret) => `Bearer ${secret}`)).toContain(seen['authorization']);
    }
  });
});
