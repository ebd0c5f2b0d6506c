/** The SDKs for Java of AWS and Anthropic, and more of the JDK's HttpClient than java.test.ts has. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';

/** `name what it saw`, line by line. */
function resultsIn(stdout: string): Record<string, string> {
  const lines = stdout.split('\n').filter(Boolean);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]));
}

describe.skipIf(isUnprepared)(suiteName('Java'), { timeout: 90_000 }, () => {
  let byToken: SandboxedProxy;
  let byUid: SandboxedProxy;
  let path: string;
  beforeAll(async () => {
    const folder = clientsFolder('java');
    path = `${join(folder, 'classes')}:${join(folder, 'jars')}/*`;
    byToken = await openSandboxedProxy((policy) =>
      policy.replace('provider: openai #', 'http2: prefer\n  provider: openai #'),
    );
    const selectors = `workloadID: ai-agent\n  selectors: [{ unix:uid: [${process.getuid?.() ?? 0}] }]`;
    byUid = await openSandboxedProxy((policy) => policy.replace('workloadID: ai-agent\n', `${selectors}\n`));
  });
  afterAll(async () => {
    await byToken.close();
    await byUid.close();
  });

  async function outputOf(sandboxed: SandboxedProxy, ...words: string[]): Promise<Record<string, string>> {
    const { stdout, stderr, code, ...memory } = await sandboxed.runAgent(['java', '-cp', path, ...words]);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain('cs_');
    expect(memory).toMatchObject({ secretsFound: [], placeholdersFound: 1 });
    expect(memory.secretsKnown).toBeGreaterThan(0);
    return resultsIn(stdout.replace(/^DONE .*\n/m, ''));
  }

  it('the AWS SDK calls, uploads in every way and streams, with default settings and no line of its own', async () => {
    expect(await outputOf(byToken, 'Aws', 'use')).toEqual({
      identity: expect.stringMatching(/^arn:aws:sts::[0-9]{12}:assumed-role\//),
      assumed: expect.stringMatching(/^countersign: The call would hand a credential to the workload: sts:AssumeRole /),
      bucket: '200',
      ...{ buffer: 'true', stream: 'true', multipart: 'true' },
      absent: expect.stringContaining('The specified key does not exist'),
      ...{ putItem: '200', item: 'hello', converseStream: '8' },
    });
    const ways = byToken.auditLines().map((line) => line['injected']);
    for (const service of ['sts', 's3', 'dynamodb', 'bedrock'])
      expect(ways).toContainEqual(expect.stringContaining(`sigv4 ${service}/us-east-1`));
  });

  it('what must not be signed is refused with its reason, in the error that the AWS SDK shows', async () => {
    const before = byToken.auditLines().length;
    const { realKey, realKeyS3, region, scope } = await outputOf(byToken, 'Aws', 'misuse');
    const foreign =
      /^countersign: The AWS signature does not verify .*: signed with another access key than the placeholder/;
    expect(realKey).toMatch(foreign);
    expect(realKeyS3).toMatch(foreign);
    expect(region).toMatch(/^countersign: No Service of the policy names .* dynamodb\.eu-west-1\.amazonaws\.com:443/);
    expect(scope).toMatch(/^countersign: .*the binding does not sign for the region "eu-west-1"/);
    const lines = byToken.auditLines().slice(before);
    expect(lines.filter(({ code }) => code === 'client_signature_invalid').length).toBe(2);
    expect(lines.filter(({ kind }) => kind === 'intent')).toEqual([]);
  });

  it('the AWS SDK is told what is wrong where it is known before it is asked for its token', async () => {
    const { identity } = await outputOf(byUid, 'Aws', 'use', 'identity');
    expect(identity).toContain('it is that of another instance: a client that has one must send its token');
  });

  it("Anthropic's SDK needs a proxyAuthenticator, for OkHttp sends no user that it was not given", async () => {
    const denied = expect.stringContaining('countersign: No rule of the egress policy matches the request');
    const worked = { message: 'The sandbox heard: hello', stream: '9', denied };
    expect(await outputOf(byToken, 'Claude', 'authenticate')).toEqual(worked);
    const asked = expect.stringContaining('Failed to authenticate with proxy');
    expect(await outputOf(byToken, 'Claude')).toEqual({ message: asked, stream: asked, denied: asked });
    // Where the kernel says who it is, nobody asks.
    expect(await outputOf(byUid, 'Claude')).toEqual(worked);
  });

  it("the JDK's HttpClient calls, streams, uploads and reads a denial, with an Authenticator", async () => {
    expect(await outputOf(byToken, 'Http')).toEqual({
      get: expect.stringMatching(/^HTTP_2 200 .*"object":"list"/),
      stream: '7',
      upload: expect.stringMatching(/^HTTP_2 200 .*"bytes":2000000/),
      denied: expect.stringMatching(/^HTTP_2 403 .*countersign: A rule of the egress policy denies the request/),
      // It shows of a refused CONNECT no more than that; `countersign doctor` does.
      unknown: 'java.io.IOException: Tunnel failed, got: 403',
    });
  });
});
