/** What stands in the way of a start is told with the next step, exits with a code, and harms nothing that runs. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
let folder = '';
let taken: Server;
let running: SandboxedProxy;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-start-'));
  taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  running = await openSandboxedProxy();
});
afterAll(async () => {
  taken.close();
  await running.close();
  rmSync(folder, { recursive: true });
});

function countersign(words: readonly string[], stateDirectory = join(folder, 'state')) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, ...words], {
    encoding: 'utf8',
    timeout: 15_000,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: stateDirectory },
  });
  return { status, stdout, stderr };
}

let policies = 0;
function policy(spec: string): string {
  policies += 1;
  const file = join(folder, `policy-${policies}.yaml`);
  writeFileSync(file, policyText(spec));
  return file;
}

const policyText = (spec: string): string =>
  `apiVersion: countersign.dev/v1alpha1\nkind: Proxy\nmetadata: { name: p }\nspec: { issuer: { listen: { port: 0 } }, ${spec} }\n`;

const start = (spec: string, stateDirectory?: string) =>
  countersign(['start', '--config', policy(spec)], stateDirectory);
const ANY_PORT = 'listeners: { explicit: { port: 0 } }';

function expectRefusal(outcome: ReturnType<typeof countersign>, message: RegExp): void {
  expect(outcome.stderr).toMatch(message);
  expect(outcome.stderr).not.toMatch(/ {4}at |internal error/);
  expect(outcome.stdout).toBe('');
  expect(outcome.status).toBe(78);
}

describe('a start that cannot be', () => {
  it('the port is in use', () => {
    const { port } = taken.address() as AddressInfo;
    expectRefusal(
      start(`listeners: { explicit: { port: ${port} } }`),
      new RegExp(`127\\.0\\.0\\.1:${port}: the port is in use; stop what uses it, or name another`),
    );
  });

  it('the address is none of this machine', () => {
    expectRefusal(
      start('listeners: { explicit: { address: 203.0.113.9, port: 0 } }'),
      /cannot listen on 203\.0\.113\.9/,
    );
  });

  it('the audit file cannot be written', () => {
    expectRefusal(
      start(`${ANY_PORT}, audit: { file: ${folder} }`),
      /cannot open the audit file .* \(EISDIR\); name another under audit\.file/,
    );
    expectRefusal(start(`${ANY_PORT}, audit: { file: /no/such/audit.jsonl }`), /\(ENOENT\); name another/);
  });

  it('the state folder cannot be made', () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    expectRefusal(start(ANY_PORT, join(file, 'state')), /a part of the path is not a folder|cannot make the folder/);
    // Node's recursive mkdir never returns from there.
    expectRefusal(start(ANY_PORT, '/proc/no-such-folder'), /cannot make the folder \/proc\/no-such-folder/);
  });

  it.skipIf(process.getuid?.() === 0)('the state folder is read-only (skipped as root, whom no mode stops)', () => {
    const readOnly = join(folder, 'read-only');
    mkdirSync(readOnly);
    chmodSync(readOnly, 0o500);
    expectRefusal(start(ANY_PORT, readOnly), /permission denied; .*COUNTERSIGN_STATE_DIR/);
  });

  it.each<[string, string, RegExp]>([
    ['ca-key.pem', 'garbage', /the CA key is not a private key in PEM; restore .* or remove both/],
    ['ca.pem', 'garbage', /the CA certificate is not one in PEM; restore .* or remove both/],
    ['ca-key.pem', '', /the CA key does not belong to the CA certificate; restore .* or remove both/],
  ])('the CA is damaged: %s holds %j', (name, text, message) => {
    const state = mkdtempSync(join(folder, 'ca-'));
    expect(countersign(['ca'], state).status).toBe(0);
    const path = join(state, 'ca', name);
    rmSync(path);
    if (text !== '') writeFileSync(path, text, { mode: 0o400 });
    expectRefusal(countersign(['ca'], state), message);
  });
});

describe('a second start in the state folder of a proxy that runs', () => {
  it('is refused before it touches what the first one’s agents use', async () => {
    const { bundleFile } = running.proxy;
    const before = readFileSync(bundleFile, 'utf8');
    const state = join(running.folder, 'state');
    expectRefusal(
      start(`${ANY_PORT}, issuingCA: { directory: ${join(folder, 'another-ca')} }`, state),
      /another proxy listens on .*admin\.sock; stop it, or give this one another state folder/,
    );
    expect(readFileSync(bundleFile, 'utf8')).toBe(before);
    const { stdout } = await running.run(['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', MODELS]);
    expect(stdout).toBe('200');
  });
});

const MODELS = 'https://api.openai.com/v1/models';

describe('a running proxy', () => {
  it('keeps its policy where SIGHUP finds a broken one, says so, and ends in order', { timeout: 30_000 }, async () => {
    const file = policy(ANY_PORT);
    const child = spawn(process.execPath, [LAUNCHER, 'start', '--config', file], {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'sighup') },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (bytes: Buffer) => (out += bytes));
    child.stderr.on('data', (bytes: Buffer) => (err += bytes));
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      await expect.poll(() => out, { timeout: 15_000 }).toContain('audit ');
      writeFileSync(file, 'kind: Nonsense\n');
      child.kill('SIGHUP');
      await expect
        .poll(() => err, { timeout: 10_000 })
        .toMatch(/policy-\d+\.yaml:1:7: .*policy refused, the last good one stays/);
      writeFileSync(file, policyText(ANY_PORT));
      child.kill('SIGHUP');
      await expect.poll(() => err, { timeout: 10_000 }).toContain('policy loaded');
      expect(err).not.toContain('internal error');
    } finally {
      child.kill('SIGTERM');
    }
    expect(await ended).toBe(0);
    expect(out).toMatch(/ended: 0 leases revoked\n$/);
  });
});
