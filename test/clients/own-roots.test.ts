/** A user who trusts roots of his own keeps them beside that of the proxy, in every client that `run` gives a file. */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE_VARIABLES } from '../../src/cli/agent-environment.ts';
import { TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const PUBLIC = 'https://api.internal.test/v1/orders';

describe('roots of the user', () => {
  let ca: TestCa;
  let own: Server;
  let sandboxed: SandboxedProxy;
  let url: string;
  let rootFile: string;
  beforeAll(async () => {
    ca = new TestCa('of the user');
    own = createServer(ca.leaf('DNS:localhost'), (_request, response) => response.end('mine'));
    await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
    url = `https://localhost:${(own.address() as AddressInfo).port}/`;
    sandboxed = await openSandboxedProxy();
    rootFile = join(sandboxed.folder, 'own-roots.pem');
    writeFileSync(rootFile, ca.cert);
  });
  afterAll(async () => {
    await sandboxed.close();
    own.closeAllConnections();
    own.close();
    ca.remove();
  });

  const temporary = () => ({ TMPDIR: sandboxed.folder });
  const curl = (address: string, env: Record<string, string>) =>
    sandboxed.run(['curl', '-sS', '--max-time', '20', '-o', '/dev/null', '-w', '%{http_code}', address], { env });

  it('are trusted as before by a program that now trusts the proxy too', { timeout: 60_000 }, async () => {
    expect((await curl(url, {})).stderr).toContain('certificate');
    for (const name of ['CURL_CA_BUNDLE', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE']) {
      const env = { ...temporary(), [name]: rootFile };
      expect((await curl(url, env)).stdout, name).toBe('200');
      expect((await curl(PUBLIC, env)).stdout, name).toBe('200');
    }
  });

  it('stand in one file, for every variable, and it goes with the command', { timeout: 60_000 }, async () => {
    const env = {
      ...temporary(),
      GIT_SSL_CAINFO: 'own-roots.pem',
      AWS_CA_BUNDLE: '/no/such/file',
      CURL_CA_BUNDLE: '/etc',
    };
    const { stdout } = await sandboxed.run(['sh', '-c', 'env; cat "$SSL_CERT_FILE"'], { env });
    const files = BUNDLE_VARIABLES.map((name) => new RegExp(`^${name}=(.*)$`, 'm').exec(stdout)?.[1]);
    expect(new Set(files).size).toBe(1);
    expect(files[0]).toMatch(/\/countersign-roots-[^/]+\/ca-bundle\.pem$/);
    expect(stdout).toContain(ca.cert.trim());
    expect(readdirSync(sandboxed.folder).filter((name) => name.startsWith('countersign-roots-'))).toEqual([]);
  });

  it('are named by `env`, which leaves no file behind', { timeout: 60_000 }, async () => {
    const words = [LAUNCHER, 'env', '--socket', sandboxed.proxy.adminSocket, '--workload', 'ai-agent'];
    const ask = (env: Record<string, string>) => promisify(execFile)(process.execPath, words, { env });
    const told = await ask({ SSL_CERT_FILE: rootFile });
    expect(told.stderr).toMatch(/^countersign: 1 of your own roots is not in the bundle of the proxy; start it with /);
    sandboxed.received.push(told.stdout);
    expect((await ask({})).stderr).toBe('');
  });

  it('that the proxy knows already need no file of their own', { timeout: 60_000 }, async () => {
    const env = { ...temporary(), SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' };
    const { stdout } = await sandboxed.run(['sh', '-c', 'echo "$SSL_CERT_FILE"'], { env });
    expect(stdout).toBe(`${join(sandboxed.folder, 'state', 'ca-bundle.pem')}\n`);
  });
});
