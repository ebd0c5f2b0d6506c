import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy();
});
afterAll(() => sandboxed.close());

const curl = (...words: string[]) =>
  sandboxed.run(['curl', '-sS', '--max-time', '20', '-w', '\n%{http_code}', ...words]);
const shell = (line: string) => sandboxed.run(['sh', '-c', line]);
const statusOf = (stdout: string): number => Number(stdout.slice(stdout.lastIndexOf('\n') + 1));
const problemOf = (stdout: string): Record<string, unknown> =>
  JSON.parse(stdout.slice(0, stdout.lastIndexOf('\n'))) as Record<string, unknown>;

describe('curl', () => {
  it('calls an API with no credential of its own', async () => {
    const { stdout, stderr } = await curl('https://api.openai.com/v1/models');
    expect(stderr).toBe('');
    expect(statusOf(stdout)).toBe(200);
    expect(stdout).toContain('"object"');
  });

  it('gets a header injected from a KV secret', async () => {
    const { stdout } = await curl('https://api.internal.test/v1/orders');
    expect(statusOf(stdout)).toBe(200);
  });

  it('uploads with Expect: 100-continue', async () => {
    const { stdout } = await sandboxed.run([
      'sh',
      '-c',
      `head -c 2000000 /dev/zero | curl -sS --max-time 20 -w '\\n%{http_code}' -H 'Expect: 100-continue' -F purpose=assistants -F 'file=@-;filename=zero.bin' https://api.openai.com/v1/files`,
    ]);
    expect(statusOf(stdout)).toBe(200);
    expect(stdout).toContain('2000000');
  });

  it('signs for AWS with the placeholder pair', async () => {
    const { stdout } = await shell(
      `curl -sS --max-time 20 -w '\\n%{http_code}' --aws-sigv4 aws:amz:us-east-1:sts --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" 'https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15'`,
    );
    expect(statusOf(stdout)).toBe(200);
    expect(stdout).toContain('GetCallerIdentityResult');
  });

  it('never sees the key, even where the upstream repeats its headers', async () => {
    const { stdout } = await curl('https://api.openai.com/v1/sandbox/echo');
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    expect(secrets.length).toBeGreaterThan(0);
    expect(statusOf(stdout)).toBe(200);
    expect(stdout).toContain('****');
    expect(secrets.filter((secret) => stdout.includes(secret))).toEqual([]);
  });

  it('is told why it was denied, as a program can read it', async () => {
    const { stdout } = await curl('-X', 'POST', 'https://api.openai.com/v1/organization/admin_api_keys');
    expect(statusOf(stdout)).toBe(403);
    expect(problemOf(stdout)).toMatchObject({
      code: 'mints_credentials',
      status: 403,
      type: 'urn:countersign:problem:mints_credentials',
    });
  });

  it('gets no tunnel to a host that no Service names', async () => {
    const { code, stderr } = await curl('https://example.com/');
    expect(code).toBe(56);
    expect(stderr).toContain('403');
  });

  it('has no real key in its environment, and the one that the user had is withheld', async () => {
    const { stdout } = await shell('env');
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    expect(secrets.filter((secret) => stdout.includes(secret))).toEqual([]);
    expect(stdout).not.toContain('sk-real-key-that-run-must-withhold');
    expect(stdout).toMatch(/^OPENAI_API_KEY=sk-placeholder-/m);
    expect(stdout).toMatch(/^NODE_USE_ENV_PROXY=1$/m);
  });

  it('hands on the exit code of the command', async () => {
    expect((await shell('exit 7')).code).toBe(7);
    expect((await shell('kill -TERM $$')).code).toBe(143);
    expect((await sandboxed.run(['/no/such/command'])).code).toBe(127);
  });
});

describe('without an identity', () => {
  it('a caller is challenged and told nothing', async () => {
    const { stdout, code } = await shell(
      `unset HTTPS_PROXY https_proxy; curl -sS --max-time 20 -v -x ${sandboxed.proxy.proxyUrl} https://api.openai.com/v1/models 2>&1; exit $?`,
    );
    expect(code).toBe(56);
    expect(stdout).toContain('407');
    expect(stdout).toContain('Proxy-Authenticate: Basic realm="countersign"');
    expect(stdout).not.toContain('problem');
  });

  it('a wrong token is answered exactly as no token is', async () => {
    const ask = async (auth: string): Promise<string> => {
      const { stdout } = await shell(
        `curl -sS --max-time 20 -i ${auth} --proxy ${sandboxed.proxy.proxyUrl} https://api.openai.com/ 2>/dev/null; true`,
      );
      return stdout;
    };
    expect(await ask('--proxy-user x:cs_wrong')).toBe(await ask(''));
  });
});
