/** git over https, unchanged: its server is git's own, and the password is put in by the proxy. */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';
import { type GitServer, openGitServer } from './tools/git-server.ts';
import { GIT_ENVIRONMENT } from './tools/prepare.ts';
import { policyWithUpstreams } from './upstream-policy.ts';

const URL_OF = 'https://git.test/repository.git';

describe.skipIf(isUnprepared)(suiteName('git'), () => {
  let ca: TestCa;
  let git: GitServer;
  let served: string;
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    ca = new TestCa('git');
    served = mkdtempSync(join(tmpdir(), 'countersign-git-'));
    cpSync(join(clientsFolder('tools'), 'repository.git'), join(served, 'repository.git'), { recursive: true });
    git = openGitServer(ca.leaf('DNS:git.test'), served);
    await new Promise<void>((resolve) => git.server.listen(0, '127.0.0.1', resolve));
    const { port } = git.server.address() as AddressInfo;
    sandboxed = await openSandboxedProxy(
      policyWithUpstreams({
        rootFile: ca.certFile,
        upstreams: [{ name: 'git', host: 'git.test', port }],
        injections: { git: '{ basic: { username: x-access-token } }' },
        rules: [
          '{ services: [git], paths: [/private.git/**], action: deny }',
          '{ services: [git], methods: [GET, POST], action: allow }',
        ],
      }),
    );
  });
  afterAll(async () => {
    await sandboxed?.close();
    git?.server.closeAllConnections();
    git?.server.close();
    ca?.remove();
    rmSync(served, { recursive: true });
  });

  const run = (...words: string[]) => sandboxed.run(['git', ...words], { env: GIT_ENVIRONMENT });

  it('clones, pushes more than a megabyte, and fetches it again', { timeout: 60_000 }, async () => {
    const clone = await run('clone', '--quiet', URL_OF, 'first');
    expect([clone.code, clone.stderr]).toEqual([0, '']);
    const bytes = randomBytes(1_500_000);
    writeFileSync(join(sandboxed.folder, 'first', 'large.bin'), bytes);
    await run('-C', 'first', 'add', 'large.bin');
    await run('-C', 'first', 'commit', '--quiet', '--message', 'Add');
    const push = await run('-C', 'first', 'push', '--quiet', 'origin', 'HEAD:pushed');
    expect([push.code, push.stderr]).toEqual([0, '']);
    const again = await run('clone', '--quiet', '--branch', 'pushed', URL_OF, 'second');
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(readFileSync(join(sandboxed.folder, 'second', 'large.bin')).equals(bytes)).toBe(true);
  });

  it('never has the password, which the server got with every request', () => {
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    const [shown, ...others] = new Set(git.shown);
    expect(others).toEqual([]);
    const [user, password] = Buffer.from(shown?.slice('Basic '.length) ?? '', 'base64')
      .toString()
      .split(':');
    expect(user).toBe('x-access-token');
    expect(secrets).toContain(password);
  });

  it('shows why it was denied', { timeout: 60_000 }, async () => {
    const { code, stderr } = await run('clone', 'https://git.test/private.git', 'third');
    expect(code).toBe(128);
    expect(stderr).toContain(
      'remote: countersign: A rule of the egress policy denies the request: it is the rule agents/0',
    );
  });

  it('is refused a host that no Service names', { timeout: 60_000 }, async () => {
    const { code, stderr } = await run('clone', 'https://other.test/x.git', 'fourth');
    expect(code).toBe(128);
    expect(stderr).toMatch(/403 .*CONNECT|CONNECT .*403/);
  });
});
