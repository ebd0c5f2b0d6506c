/** pip, uv and npm, unchanged: they install from registries that want a key, which the proxy puts in. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';
import { TARBALL, WHEEL } from './tools/prepare.ts';
import { policyWithUpstreams } from './upstream-policy.ts';

const NO_SERVICE = '403 countersign: No Service of the policy names this destination: no Service has the address ';

const DENIED = '403 Client Error: countersign: A rule of the egress policy denies the request: it is the rule agents/1';

interface Registries {
  readonly server: Server;
  /** Host, path and Authorization of each request. */
  readonly asked: { readonly host: string; readonly path: string; readonly authorization: string }[];
}

describe.skipIf(isUnprepared)(suiteName('pip, uv and npm'), () => {
  let ca: TestCa;
  let registries: Registries;
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    ca = new TestCa('registries');
    registries = openRegistries(ca);
    await new Promise<void>((resolve) => registries.server.listen(0, '127.0.0.1', resolve));
    const { port } = registries.server.address() as AddressInfo;
    sandboxed = await openSandboxedProxy(
      policyWithUpstreams({
        rootFile: ca.certFile,
        upstreams: ['pip', 'npm'].map((name) => ({ name, host: `${name}.test`, port })),
        injections: { pip: '{ basic: { username: __token__ } }', npm: '{ bearer: {} }' },
        rules: [
          '{ services: [npm], paths: [/countersign-hidden], action: deny }',
          '{ services: [pip], paths: [/simple/countersign-hidden/], action: deny }',
          '{ services: [pip, npm], methods: [GET], action: allow }',
        ],
      }),
    );
  });
  afterAll(async () => {
    for (const name of ['python', 'by-uv', 'node_modules', '.npm', '.cache'])
      rmSync(join(sandboxed.folder, name), { recursive: true, force: true });
    await sandboxed?.close();
    registries?.server.closeAllConnections();
    registries?.server.close();
    ca?.remove();
  });

  const pip = (...words: string[]) =>
    sandboxed.run(['python3', '-m', 'pip', 'install', '--no-cache-dir', '--target', 'python', ...words]);
  const npm = (...words: string[]) => sandboxed.run(['npm', 'install', '--no-audit', '--no-fund', ...words]);
  const ISOLATED = ['--isolated', '--disable-pip-version-check'];
  const PIP_INDEX = ['--index-url', 'https://pip.test/simple/'];
  const REGISTRY = ['--registry', 'https://npm.test/'];
  const keysOf = (host: string): string[] => {
    const asked = registries.asked.filter((request) => request.host === host);
    return [...new Set(asked.map(({ authorization }) => authorization))];
  };

  it('pip installs a wheel', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await pip('--disable-pip-version-check', ...PIP_INDEX, 'countersign-tiny');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('Successfully installed countersign-tiny-1.0');
    const [key = ''] = keysOf('pip.test');
    const [user, password] = Buffer.from(key.slice('Basic '.length), 'base64').toString().split(':');
    expect(user).toBe('__token__');
    expect(sandboxed.proxy.sandbox?.registry.issuedSecrets()).toContain(password);
  });

  it('uv installs it too', { timeout: 60_000 }, async () => {
    const uv = join(clientsFolder('python'), 'bin', 'uv');
    const words = ['pip', 'install', '--no-cache', '--target', 'by-uv', ...PIP_INDEX];
    const { code, stderr } = await sandboxed.run([uv, ...words, 'countersign-tiny']);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('+ countersign-tiny==1.0');
    const denied = await sandboxed.run([uv, ...words, 'countersign-hidden']);
    expect(denied.code).not.toBe(0);
    // It says the number alone, as it does of everybody's refusal.
    expect(denied.stderr).toContain('returned a 403 Forbidden error');
  });

  it('npm installs a package', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await npm(...REGISTRY, 'countersign-tiny');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('added 1 package');
    expect(readFileSync(join(sandboxed.folder, 'node_modules', 'countersign-tiny', 'main.js'), 'utf8')).toContain('42');
    const [key = ''] = keysOf('npm.test');
    expect(sandboxed.proxy.sandbox?.registry.issuedSecrets()).toContain(key.slice('Bearer '.length));
  });

  it('both show why they were denied, pip when it is asked twice (-vv)', { timeout: 60_000 }, async () => {
    const byPip = await pip('-vv', ...ISOLATED, ...PIP_INDEX, 'countersign-hidden');
    expect(byPip.code).not.toBe(0);
    expect(byPip.stdout + byPip.stderr).toContain(
      `Could not fetch URL https://pip.test/simple/countersign-hidden/: ${DENIED}`,
    );
    const byNpm = await npm(...REGISTRY, 'countersign-hidden');
    expect(byNpm.code).not.toBe(0);
    expect(byNpm.stderr).toContain(
      '403 countersign: A rule of the egress policy denies the request: it is the rule agents/0',
    );
  });

  it('both are refused a host that no Service names, and say so', { timeout: 60_000 }, async () => {
    const byPip = await pip(...ISOLATED, '--retries', '1', '--index-url', 'https://other.test/simple/', 'x');
    expect(byPip.code).not.toBe(0);
    expect(byPip.stderr + byPip.stdout).toContain(`Tunnel connection failed: ${NO_SERVICE}other.test:443`);
    const byNpm = await npm('--fetch-retries', '0', '--registry', 'https://other.test/', 'x');
    expect(byNpm.code).not.toBe(0);
    expect(byNpm.stderr).toContain(`${NO_SERVICE}other.test:443`);
  });
});

function openRegistries(ca: TestCa): Registries {
  const asked: Registries['asked'] = [];
  const file = (name: string): Buffer => readFileSync(join(clientsFolder('tools'), name));
  const answers: Readonly<Record<string, () => [type: string, body: string | Buffer]>> = {
    'pip.test/simple/countersign-tiny/': () => [
      'text/html',
      `<a href="/files/${WHEEL}#sha256=${createHash('sha256').update(file(WHEEL)).digest('hex')}">${WHEEL}</a>`,
    ],
    [`pip.test/files/${WHEEL}`]: () => ['application/zip', file(WHEEL)],
    'npm.test/countersign-tiny': () => [
      'application/json',
      JSON.stringify({
        name: 'countersign-tiny',
        'dist-tags': { latest: '1.0.0' },
        versions: {
          '1.0.0': {
            name: 'countersign-tiny',
            version: '1.0.0',
            dist: {
              tarball: `https://npm.test/files/${TARBALL}`,
              integrity: `sha512-${createHash('sha512').update(file(TARBALL)).digest('base64')}`,
            },
          },
        },
      }),
    ],
    [`npm.test/files/${TARBALL}`]: () => ['application/octet-stream', file(TARBALL)],
  };
  const server = createServer(ca.leaf('DNS:pip.test,DNS:npm.test'), (request, response) => {
    const { host = '', authorization = '' } = request.headers;
    asked.push({ host, path: request.url ?? '', authorization });
    const answer = authorization === '' ? undefined : answers[`${host}${request.url}`];
    if (answer === undefined) {
      response.writeHead(authorization === '' ? 401 : 404).end();
      return;
    }
    const [type, body] = answer();
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  return { server, asked };
}
