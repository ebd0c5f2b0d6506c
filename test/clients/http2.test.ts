import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy((policy) =>
    policy.replace('provider: openai #', 'http2: prefer\n  provider: openai #'),
  );
});
afterAll(() => sandboxed.close());

const curl = async (...words: string[]) => {
  const format = '\n%{http_code} %{http_version}';
  const { stdout, stderr } = await sandboxed.run(['curl', '-sS', '--max-time', '20', '-w', format, ...words]);
  const cut = stdout.lastIndexOf('\n');
  return { body: stdout.slice(0, cut), outcome: stdout.slice(cut + 1), stderr };
};

describe('curl, at a Service that prefers HTTP/2', () => {
  it('speaks it, and HTTP/1.1 where it is told to', async () => {
    expect(await curl('--http2', 'https://api.openai.com/v1/models')).toMatchObject({ outcome: '200 2', stderr: '' });
    expect(await curl('--http1.1', 'https://api.openai.com/v1/models')).toMatchObject({ outcome: '200 1.1' });
    // Nothing is said of HTTP/2 here.
    expect(await curl('--http2', 'https://api.internal.test/v1/orders')).toMatchObject({ outcome: '200 1.1' });
  });

  it('makes several calls on one connection', async () => {
    const { body, outcome } = await curl(
      '--http2',
      '--parallel',
      ...Array(12).fill('https://api.openai.com/v1/models'),
    );
    expect(outcome).toBe('200 2');
    expect(body.match(/"object": ?"list"/g)?.length).toBe(12);
  });

  it('uploads with Expect: 100-continue', async () => {
    const { stdout } = await sandboxed.run([
      'sh',
      '-c',
      `head -c 2000000 /dev/zero | curl -sS --http2 --max-time 20 -w '\\n%{http_code} %{http_version}' -H 'Expect: 100-continue' -F purpose=assistants -F 'file=@-;filename=zero.bin' https://api.openai.com/v1/files`,
    ]);
    expect(stdout).toMatch(/\n200 2$/);
    expect(stdout).toContain('2000000');
  });

  it('gets the events of a stream, and a denial that it can read', async () => {
    const stream = await curl(
      ...['--http2', '-N', '-H', 'Content-Type: application/json', 'https://api.openai.com/v1/chat/completions', '-d'],
      '{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hello"}]}',
    );
    expect(stream.outcome).toBe('200 2');
    expect(stream.body).toMatch(/^data: \{[\s\S]*data: \[DONE\]\s*$/);
    const denied = await curl('--http2', '-X', 'DELETE', 'https://api.openai.com/v1/files/file-1');
    expect(denied.outcome).toBe('403 2');
    expect(JSON.parse(denied.body)).toMatchObject({ code: 'rule_denied' });
  });

  it('never sees the key, even where the upstream repeats its headers', async () => {
    const { body } = await curl('--http2', 'https://api.openai.com/v1/sandbox/echo');
    expect(body).toContain('****');
    for (const secret of sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? []) expect(body).not.toContain(secret);
  });
});

function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe("Go's net/http", () => {
  it.skipIf(!hasGo())('speaks HTTP/2 by itself', { timeout: 120_000 }, async () => {
    const program = `${sandboxed.folder}/agent`;
    const source = fileURLToPath(new URL('agents/agent.go', import.meta.url));
    execFileSync('go', ['build', '-o', program, source], { env: { ...process.env, CGO_ENABLED: '0' } });
    const { stdout, stderr } = await sandboxed.run([program]);
    expect(stderr).toBe('');
    const results = JSON.parse(stdout) as Record<string, unknown>;
    expect(results).toMatchObject({
      get: { Proto: 'HTTP/2.0', Status: 200 },
      post: { Proto: 'HTTP/2.0', Status: 200 },
      denied: { Proto: 'HTTP/2.0', Status: 403, Body: expect.stringContaining('rule_denied') },
      many: Array(20).fill(200),
    });
  });
});
