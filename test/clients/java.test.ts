/** The JDK's own clients, and what keytool says of the trust store. Skipped where no JDK (11 or newer) is installed. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const AGENT = fileURLToPath(new URL('./agents/Agent.java', import.meta.url));
const compiler = spawnSync('javac', ['-version'], { encoding: 'utf8' });
const version = Number(/javac ([0-9]+)/.exec(`${compiler.stdout}${compiler.stderr}`)?.[1] ?? 0);

describe.skipIf(version < 11)('Java (skipped where no JDK of version 11 or newer is installed)', () => {
  let byToken: SandboxedProxy;
  let byUid: SandboxedProxy;
  beforeAll(async () => {
    byToken = await openSandboxedProxy();
    const selectors = `workloadID: ai-agent\n  selectors: [{ unix:uid: [${process.getuid?.() ?? 0}] }]`;
    byUid = await openSandboxedProxy((policy) => policy.replace('workloadID: ai-agent\n', `${selectors}\n`));
  });
  afterAll(async () => {
    await byToken.close();
    await byUid.close();
  });

  it('finds proxy and trust store, and is let in with an Authenticator', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await byToken.run(['java', AGENT, 'authenticate']);
    expect(stdout, stderr).toBe('HttpClient 200\nHttpURLConnection 200\n');
    // Every JVM repeats the variable there.
    expect(stderr).toContain('Picked up JAVA_TOOL_OPTIONS');
    expect(stderr).not.toContain('cs_');
  });

  it('needs no line of its own where the kernel says who it is', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await byUid.run(['java', AGENT]);
    expect(stdout, stderr).toBe('HttpClient 200\nHttpURLConnection 200\n');
  });

  it('is challenged where neither is', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await byToken.run(['java', AGENT]);
    expect(stdout, stderr).toBe('HttpClient 407\nHttpURLConnection 407\n');
  });

  it('reads every certificate of the trust store, and its digest', { timeout: 30_000 }, async () => {
    const { javaTrustStore } = await byToken.proxy.createInstance({ workload: 'ai-agent', ttlMs: 60_000 });
    const words = ['-list', '-storetype', 'JKS', '-keystore', javaTrustStore, '-storepass', 'changeit'];
    const { stdout, status } = spawnSync('keytool', words, { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(Number(/contains ([0-9]+) entries/.exec(stdout)?.[1])).toBeGreaterThan(100);
    const spoilt = spawnSync('keytool', words.with(-1, 'another'), { encoding: 'utf8' });
    expect(spoilt.stdout).toContain('password was incorrect');
  });
});
