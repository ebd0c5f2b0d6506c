/** The proxy on a unix socket: the same protocol, and the kernel's word on who connected. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditRecords, LAUNCHER, until } from './worker-world.ts';

const uid = process.getuid?.() ?? 0;
let folder = '';
let socketPath = '';
let proxy: ChildProcess | null = null;
let output = '';

const policyText = (): string => `apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec:
  trustDomain: test.example
  listeners:
    explicit: { port: 0 }
    unix: { path: ${socketPath}, mode: "0666" }
  issuer: { listen: { port: 0 } }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: mine }
spec:
  workloadID: mine
  selectors: [{ unix:uid: [${uid}] }, { process:exe: [${process.execPath}] }]
`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-unix-'));
  chmodSync(folder, 0o755);
  socketPath = join(folder, 'proxy.sock');
  const policy = join(folder, 'policy.yaml');
  writeFileSync(policy, policyText());
  proxy = spawn(process.execPath, [LAUNCHER, 'start', '--config', policy], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [proxy.stdout, proxy.stderr])
    stream?.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
  await until(
    () => output.includes('audit.jsonl\n'),
    () => output,
  );
});
afterAll(async () => {
  const running = proxy;
  if (running !== null && running.exitCode === null) {
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGTERM');
    await ended;
  }
  rmSync(folder, { recursive: true });
});

const connectStatus = (authority: string, fields: Record<string, string> = {}): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, method: 'CONNECT', path: authority, headers: { host: authority, ...fields } });
    asked.once('connect', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode);
    });
    asked.once('error', reject);
    asked.end();
  });

describe('a proxy on a unix socket', () => {
  it('knows who connected, in CONNECT and in plain http, and refuses a wrong token there too', async () => {
    expect(output).toContain(`unix      ${socketPath}\n`);
    expect(await connectStatus('unknown.example:443')).toBe(403);
    expect(await connectStatus('unknown.example:443', { 'proxy-authorization': 'Bearer cs_wrong' })).toBe(407);
    const plain = await new Promise<number | undefined>((resolve, reject) => {
      const asked = request({ socketPath, path: 'http://unknown.example/', headers: { host: 'unknown.example' } });
      asked.once('response', (answer) => resolve(answer.resume().statusCode));
      asked.once('error', reject);
      asked.end();
    });
    expect(plain).toBe(403);
    const records = () => auditRecords(join(folder, 'state', 'audit.jsonl')).filter(({ code }) => code !== undefined);
    const evidence = [`unix:uid=${uid}`, `process:exe=${process.execPath}`];
    await expect.poll(records).toMatchObject([
      {
        kind: 'refusal',
        code: 'destination_unknown',
        remote: 'unix',
        spiffeId: 'spiffe://test.example/mine',
        evidence,
      },
      { kind: 'refusal', code: 'identity_required', remote: 'unix' },
      { kind: 'completion', code: 'destination_unknown', spiffeId: 'spiffe://test.example/mine', evidence },
    ]);
  });

  it.runIf(uid === 0)('does not know another user', async () => {
    const script = `const asked = require('node:http').request({ socketPath: '${socketPath}', method: 'CONNECT', path: 'a.example:443', headers: { host: 'a.example:443' } }); asked.once('connect', (answer, socket) => { console.log(answer.statusCode); socket.destroy(); }); asked.end();`;
    const child = spawn(process.execPath, ['-e', script], {
      uid: 12_345,
      gid: 12_345,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(said.trim()).toBe('407');
  });
});
