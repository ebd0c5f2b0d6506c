/** boto3 and the AWS CLI of version 1 (version 2 is not on PyPI), unchanged. */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { isUnprepared, suiteName } from './preparation.ts';
import { pythonProgram, type Refusal, runPython } from './python/python-agent.ts';

const MULTIPART_BYTES = 9 * 1024 * 1024;

describe.skipIf(isUnprepared)(suiteName('boto3 and the AWS CLI'), () => {
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy((policy) => policy.replace('sigv4: #', 'sigv4:\n        presigned: true #'));
  });
  afterAll(() => sandboxed.close());

  const aws = (...words: string[]) => sandboxed.run([pythonProgram('aws'), ...words]);

  it('boto3 uses sts, s3, dynamodb and bedrock, and shows denials', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'aws_agent.py');
    expect(stderr).toBe('');
    expect(results).toMatchObject({
      arn: expect.stringMatching(/^arn:aws:sts::/),
      small: true,
      large: true,
      keys: ['a b/+ü//key.bin', 'multipart.bin'],
      presigned: true,
      item: 'hello',
      converse: 'The sandbox heard: hello',
      streamed: 'The sandbox heard: hello',
    });
    expect(results['denied']).toMatchObject({
      type: 'ClientError',
      text: expect.stringMatching(/\(mints_credentials\).*AssumeRole.*countersign: The call would hand a credential/),
    });
    expect((results['oldSignature'] as Refusal).text).toContain('403');
    for (const name of ['region', 'service']) {
      const refusal = results[name] as Refusal;
      expect(refusal.type).toBe('ProxyConnectionError');
      expect(refusal.text).not.toContain('cs_');
      expect(refusal.chain).toMatch(
        /Tunnel connection failed: 403 countersign: No Service of the policy names this destination: /,
      );
    }
  });

  it('aws sts and aws s3 cp, in one piece and in several', { timeout: 90_000 }, async () => {
    const identity = await aws('sts', 'get-caller-identity', '--query', 'Arn', '--output', 'text');
    expect(identity.stdout, identity.stderr).toMatch(/^arn:aws:sts::/);
    expect((await aws('s3', 'mb', 's3://from-the-cli')).stdout).toContain('make_bucket: from-the-cli');
    for (const [name, bytes] of [
      ['small.bin', randomBytes(3_000)],
      ['large.bin', randomBytes(MULTIPART_BYTES)],
    ] as const) {
      const [from, to] = [join(sandboxed.folder, name), join(sandboxed.folder, `again-${name}`)];
      writeFileSync(from, bytes);
      const up = await aws('s3', 'cp', '--no-progress', from, `s3://from-the-cli/${name}`);
      expect(up.code, up.stderr).toBe(0);
      const down = await aws('s3', 'cp', '--no-progress', `s3://from-the-cli/${name}`, to);
      expect(down.code, down.stderr).toBe(0);
      expect(readFileSync(to).equals(bytes)).toBe(true);
      // What is left in the folder is searched for secrets, which takes its time.
      for (const path of [from, to]) rmSync(path);
    }
  });

  it('aws shows why it was denied', { timeout: 60_000 }, async () => {
    const role = ['--role-arn', 'arn:aws:iam::123456789012:role/admin', '--role-session-name', 'agent'];
    const { code, stderr } = await aws('sts', 'assume-role', ...role);
    expect(code).not.toBe(0);
    expect(stderr).toContain('(mints_credentials)');
    expect(stderr).toContain('countersign: The call would hand a credential to the workload');
  });
});
