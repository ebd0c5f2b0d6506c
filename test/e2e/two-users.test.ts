/**
 * Duty: a proxy in a network namespace of its own: each of two users is its own workload there, a third is nobody, and
 * nobody is who comes from another namespace, whatever its user.
 * Holds: namespaces and processes are gone afterwards. Needs root and `ip`; skipped with the reason where they are missing.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditRecords, LAUNCHER, until } from './worker-world.ts';

const HERE = `cs-here-${process.pid}`;
const THERE = `cs-there-${process.pid}`;
const ADDRESS = '10.231.7.1';
const PORT = 10_080;
const USERS = { one: 61_001, two: 61_002, stranger: 61_003 };

const POLICY = `apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec:
  trustDomain: test.example
  listeners: { explicit: { address: ${ADDRESS}, port: ${PORT} } }
  issuer: { listen: { port: 0 } }
${[USERS.one, USERS.two]
  .map(
    (uid) => `---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: user-${uid} }
spec: { workloadID: user-${uid}, selectors: [{ unix:uid: [${uid}] }] }
`,
  )
  .join('')}`;

/** What the system said where it did not work, otherwise null. */
function ip(...words: string[]): string | null {
  const { status, stderr, error } = spawnSync('ip', words, { encoding: 'utf8' });
  return status === 0 ? null : `ip ${words.join(' ')}: ${error?.message ?? stderr.trim()}`;
}

function setUp(): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  const steps = [
    ['netns', 'add', HERE],
    ['netns', 'add', THERE],
    ['-n', HERE, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth0', 'netns', THERE],
    ['-n', HERE, 'addr', 'add', `${ADDRESS}/24`, 'dev', 'veth0'],
    ['-n', THERE, 'addr', 'add', '10.231.7.2/24', 'dev', 'veth0'],
    ...[HERE, THERE].flatMap((name) => ['lo', 'veth0'].map((device) => ['-n', name, 'link', 'set', device, 'up'])),
  ];
  for (const step of steps) {
    const failure = ip(...step);
    if (failure !== null) return failure;
  }
  return null;
}

/** The status line of a CONNECT by that user. */
function statusOf(namespace: string, uid: number): string {
  const script = `exec 3<>/dev/tcp/${ADDRESS}/${PORT}; printf 'CONNECT api.openai.com:443 HTTP/1.1\\r\\nHost: api.openai.com:443\\r\\n\\r\\n' >&3; head -1 <&3`;
  const user = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'bash', '-c', script];
  return spawnSync('ip', ['netns', 'exec', namespace, ...user], { encoding: 'utf8', timeout: 20_000 }).stdout.trim();
}

let unable: string | null = null;
let folder = '';
let proxy: ChildProcess | null = null;
let output = '';

beforeAll(async () => {
  unable = setUp();
  if (unable !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'countersign-users-'));
  const policy = join(folder, 'policy.yaml');
  writeFileSync(policy, POLICY);
  const words = [process.execPath, LAUNCHER, 'start', '--config', policy];
  proxy = spawn('ip', ['netns', 'exec', HERE, ...words], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [proxy.stdout, proxy.stderr])
    stream?.on('data', (bytes: Buffer) => (output += bytes.toString()));
  await until(
    () => output.includes('audit.jsonl\n'),
    () => output,
  );
});

afterAll(async () => {
  const running = proxy;
  if (running !== null && running.exitCode === null) {
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  }
  for (const name of [HERE, THERE]) ip('netns', 'del', name);
  if (folder !== '') rmSync(folder, { recursive: true });
});

describe('a proxy that several users share', () => {
  it('knows each of them, and nobody else', async ({ skip }) => {
    if (unable !== null) skip(unable);
    expect(statusOf(HERE, USERS.one)).toMatch(/^HTTP\/1\.1 403 countersign: No Service of the policy names/);
    expect(statusOf(HERE, USERS.two)).toMatch(/^HTTP\/1\.1 403 countersign: No Service of the policy names/);
    expect(statusOf(HERE, USERS.stranger)).toBe('HTTP/1.1 407 Proxy Authentication Required');
    // The same user, but of another network namespace, where this kernel's word is about other sockets.
    expect(statusOf(THERE, USERS.one)).toBe('HTTP/1.1 407 Proxy Authentication Required');
    const refusals = () => auditRecords(join(folder, 'state', 'audit.jsonl')).filter(({ kind }) => kind === 'refusal');
    await expect.poll(refusals).toMatchObject([
      { code: 'destination_unknown', spiffeId: 'spiffe://test.example/user-61001', evidence: ['unix:uid=61001'] },
      { code: 'destination_unknown', spiffeId: 'spiffe://test.example/user-61002', evidence: ['unix:uid=61002'] },
      { code: 'identity_required', detail: 'no WorkloadIdentity matches' },
      {
        code: 'identity_required',
        remote: '10.231.7.2',
        detail: 'no WorkloadIdentity matches; the kernel of this host names no owner of the connection',
      },
    ]);
    expect(output).not.toContain('Warning');
  });
});
