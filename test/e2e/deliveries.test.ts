/** Keys in files, by a whole proxy on the sandbox; as root with a second user, otherwise with this one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProxyStatus } from '../../src/client/answers.ts';
import { isInMemory } from '../../src/delivery/private-file.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { openPeerCredentials } from '../fakes/peer-credentials.ts';
import { readSocketAs } from '../fakes/socket-reader.ts';
import { type FileBinding, ownerUid, withFiles } from './delivery-policy.ts';
import { until } from './worker-world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAUNCHER = join(ROOT, 'src', 'launch.js');
const isRoot = process.getuid?.() === 0;
const peerOf = await openPeerCredentials();
const SLOW = { timeout: 90_000 };
let folder = '';
let sandboxed: SandboxedProxy | null = null;
let child: ChildProcess | null = null;

beforeEach(() => {
  folder = mkdtempSync('/dev/shm/countersign-e2e-');
  chmodSync(folder, 0o711);
});
afterEach(async () => {
  await sandboxed?.close();
  sandboxed = null;
  if (child !== null && child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  child = null;
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const inFile = (name: string): string => readFileSync(at(name), 'utf8');
const keyIn = (name: string): string => (JSON.parse(inFile(name)) as { api_key: string }).api_key;
const binding = (name: string, format = 'json'): FileBinding => ({
  name,
  file: `{ path: ${at(name)}, format: ${format} }`,
});
const isAlive = (key: string): boolean | undefined => sandboxed?.proxy.sandbox?.registry.findApiKey(key)?.alive;
const statusOf = (name: string) => {
  const status = sandboxed?.proxy.status() as ProxyStatus;
  return status.bindings.find((each) => each.binding === name);
};
const edit = (text: (policy: string) => string): void => {
  const { policyFile } = sandboxed as SandboxedProxy;
  writeFileSync(policyFile, text(readFileSync(policyFile, 'utf8')));
};

describe.skipIf(!isInMemory('/dev/shm'))('a key in a file (skipped where /dev/shm is no tmpfs)', () => {
  it.each([1, 2])(
    'is there for its owner alone from the start to the end, with %d processes of traffic',
    SLOW,
    async (workers) => {
      sandboxed = await openSandboxedProxy((policy) =>
        withFiles(policy, [binding('json'), binding('raw', 'raw'), binding('env', 'env')]).replace(
          '  listeners:\n',
          `  workers: ${workers}\n  listeners:\n`,
        ),
      );
      await until(() => ['json', 'raw', 'env'].every((name) => existsSync(at(name))));
      for (const name of ['json', 'raw', 'env']) {
        const { uid, mode } = statSync(at(name));
        expect([uid, mode & 0o7777]).toEqual([ownerUid(), 0o400]);
      }
      expect(Object.keys(JSON.parse(inFile('json')) as object)).toEqual([
        'api_key',
        'api_key_id',
        'service_account',
        'service_account_id',
      ]);
      const keys = [keyIn('json'), inFile('raw'), inFile('env').replace(/^API_KEY=(.*)\n$/, '$1')];
      expect(new Set(keys).size).toBe(3);
      expect(keys.map(isAlive)).toEqual([true, true, true]);
      expect(statusOf('json')).toMatchObject({
        state: 'Ready',
        reason: null,
        spiffeId: 'spiffe://quickstart.local/filer',
        way: 'file',
        path: at('json'),
        generation: 1,
        lease: { idPrefix: expect.stringMatching(/^openai\/creds\/filer\//) },
      });
      if (isRoot) {
        expect(spawnSync('cat', [at('raw')], { uid: ownerUid(), encoding: 'utf8' }).stdout).toBe(keys[1]);
        expect(spawnSync('cat', [at('raw')], { uid: ownerUid() + 1, encoding: 'utf8' }).stdout).toBe('');
      }
      const { auditLines } = sandboxed;
      const lines = () => auditLines().filter(({ kind, binding: name }) => kind === 'delivery' && name === 'json');
      // The file is there before the line that says so.
      await expect.poll(() => lines().length).toBe(2);
      expect(lines()).toMatchObject([
        {
          event: 'intent',
          path: at('json'),
          spiffeId: 'spiffe://quickstart.local/filer',
          accessor: expect.any(String),
        },
        { event: 'written' },
      ]);
      const { registry } = sandboxed.proxy.sandbox as NonNullable<typeof sandboxed.proxy.sandbox>;
      await sandboxed.close();
      sandboxed = null;
      expect(['json', 'raw', 'env'].some((name) => existsSync(at(name)))).toBe(false);
      expect(keys.map((key) => registry.findApiKey(key)?.alive)).toEqual([false, false, false]);
    },
  );

  it('changes before its lease ends, and the former key ends after that', SLOW, async () => {
    sandboxed = await openSandboxedProxy((policy) => withFiles(policy, [binding('key')], '12s'));
    await until(() => existsSync(at('key')));
    const seen = new Set<string>();
    await until(() => {
      const key = keyIn('key');
      seen.add(key);
      expect(isAlive(key)).toBe(true);
      return seen.size === 4;
    });
    const [first = ''] = seen;
    expect(isAlive(first)).toBe(false);
    expect(statusOf('key')).toMatchObject({ state: 'Ready', reason: null });
    expect(statusOf('key')?.generation).toBeGreaterThanOrEqual(4);
  });

  it('goes and comes with the policy, and a policy that cannot be kept is refused', SLOW, async () => {
    sandboxed = await openSandboxedProxy((policy) => withFiles(policy, [binding('key')]));
    await until(() => existsSync(at('key')));
    const key = keyIn('key');
    edit((policy) => policy.replace(`path: ${at('key')}`, `path: ${join(tmpdir(), 'countersign-on-disk', 'key')}`));
    if (!isInMemory(tmpdir()))
      await expect(sandboxed.proxy.reload()).rejects.toMatchObject({
        detail: expect.stringMatching(/revision \w+ stays/),
      });
    expect(keyIn('key')).toBe(key);
    edit((policy) => policy.replace(/path: \S*countersign-on-disk\/key/, `path: ${at('moved')}`));
    await sandboxed.proxy.reload();
    await until(() => existsSync(at('moved')));
    expect(existsSync(at('key'))).toBe(false);
    expect([isAlive(key), isAlive(keyIn('moved'))]).toEqual([false, true]);
    const moved = keyIn('moved');
    edit((policy) => policy.slice(0, policy.lastIndexOf('---')));
    await sandboxed.proxy.reload();
    expect(existsSync(at('moved'))).toBe(false);
    expect(isAlive(moved)).toBe(false);
    expect(statusOf('key')).toBeUndefined();
  });

  it.skipIf(peerOf === null)(
    'is read at a socket by the workload alone, each time anew (skipped where this Node has no node:ffi)',
    SLOW,
    async () => {
      sandboxed = await openSandboxedProxy((policy) =>
        withFiles(policy, [{ ...binding('key'), way: 'socket' }], '12s')
          .replaceAll(/,? ?format: json/g, '')
          .replace(
            'filer, selectors: [{ unix:uid',
            `filer, selectors: [{ process:exe: [${realpathSync(process.execPath)}] }, { unix:uid`,
          ),
      );
      await until(() => statusOf('key')?.state === 'Ready');
      expect(statusOf('key')).toMatchObject({ way: 'socket', path: at('key'), services: [] });
      const keyOf = async (): Promise<string> =>
        (JSON.parse((await readSocketAs(ownerUid(), at('key'))).text) as { api_key: string }).api_key;
      const first = await keyOf();
      expect(isAlive(first)).toBe(true);
      if (isRoot) expect((await readSocketAs(ownerUid() + 1, at('key'))).text).toBe('');
      await until(() => (statusOf('key')?.generation ?? 0) > 1);
      const second = await keyOf();
      expect([second === first, isAlive(second)]).toEqual([false, true]);
      const lines = sandboxed.auditLines().filter(({ kind }) => kind === 'delivery');
      expect(lines.filter(({ event }) => event === 'intent')).toMatchObject([
        {
          evidence: [expect.stringMatching(/^process:exe=/), `unix:uid=${ownerUid()}`],
          generation: 1,
          path: at('key'),
        },
        { generation: expect.any(Number), accessor: expect.any(String) },
      ]);
      if (isRoot)
        expect(lines.find(({ event }) => event === 'refused')).toMatchObject({
          evidence: ['no WorkloadIdentity matches'],
        });
      await sandboxed.close();
      sandboxed = null;
      expect(existsSync(at('key'))).toBe(false);
    },
  );

  it('fails with a reason where the source refuses, and the others do not mind', SLOW, async () => {
    sandboxed = await openSandboxedProxy((policy) =>
      withFiles(policy, [{ ...binding('broken'), role: 'nobody' }, binding('key')]),
    );
    await until(() => existsSync(at('key')) && statusOf('broken')?.state === 'Failed');
    expect(statusOf('broken')).toMatchObject({
      reason: { code: 'credential_denied', detail: expect.stringContaining('check role') },
      lease: null,
      path: at('broken'),
    });
    expect(existsSync(at('broken'))).toBe(false);
    const status = (...words: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      const socket = sandboxed?.proxy.adminSocket ?? '';
      const asked = spawn(process.execPath, [LAUNCHER, 'status', '--socket', socket, ...words], {
        env: { PATH: process.env['PATH'] ?? '' },
      });
      const out = { stdout: '', stderr: '' };
      asked.stdout.on('data', (chunk: Buffer) => (out.stdout += chunk));
      asked.stderr.on('data', (chunk: Buffer) => (out.stderr += chunk));
      return new Promise((resolve) => asked.once('close', (code) => resolve({ code, ...out })));
    };
    const all = await status();
    expect([all.code, all.stderr]).toEqual([1, '']);
    expect(all.stdout).toMatch(/^broken +Failed .*\n {2}credential_denied: the credential source refused/m);
    expect(all.stdout).toMatch(new RegExp(`^key +Ready .* 1 .*openai/creds/filer/.* 60m .*${at('key')}$`, 'm'));
    expect(all.stdout).not.toContain('\u001b');
    expect((await status('key')).code).toBe(0);
    expect(JSON.parse((await status('--json', 'key')).stdout)).toMatchObject({
      bindings: [{ binding: 'key', state: 'Ready' }],
    });
    expect(await status('kee')).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/no binding "kee"; it has .*key/),
    });
    sandboxed.received.push(all.stdout, (await status('--json')).stdout);
  });
});

describe.skipIf(!isInMemory('/dev/shm'))('a proxy that is killed (skipped where /dev/shm is no tmpfs)', () => {
  const start = async (policy: string, home: string): Promise<ChildProcess> => {
    const started = spawn(process.execPath, [LAUNCHER, 'start', '--config', policy], {
      env: { PATH: process.env['PATH'] ?? '', HOME: home, COUNTERSIGN_STATE_DIR: join(home, 'state') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    started.stdout?.on('data', (chunk: Buffer) => (text += chunk));
    await until(
      () => text.includes('audit.jsonl\n'),
      () => text,
      60_000,
    );
    return started;
  };
  const ended = (process: ChildProcess): Promise<number | null> =>
    new Promise((resolve) => process.once('exit', (code) => resolve(code)));

  it('leaves files that the next one removes; a signal leaves none', SLOW, async () => {
    const home = mkdtempSync(join(tmpdir(), 'countersign-killed-'));
    mkdirSync(join(home, 'policy'));
    const policy = join(home, 'policy', 'policy.yaml');
    const quickstart = readFileSync(join(ROOT, 'config', 'quickstart.yaml'), 'utf8').replace(
      /port: 1008[02]/g,
      'port: 0',
    );
    try {
      writeFileSync(policy, withFiles(quickstart, [binding('key'), binding('other')]));
      child = await start(policy, home);
      await until(() => existsSync(at('key')) && existsSync(at('other')));
      const gone = ended(child);
      child.kill('SIGKILL');
      await gone;
      expect(existsSync(at('key'))).toBe(true);

      const before = inFile('other');
      writeFileSync(policy, withFiles(quickstart, [binding('other')]));
      child = await start(policy, home);
      expect(existsSync(at('key'))).toBe(false);
      await until(() => existsSync(at('other')));
      expect(inFile('other')).not.toBe(before);
      const over = ended(child);
      child.kill('SIGTERM');
      expect(await over).toBe(0);
      expect(existsSync(at('other'))).toBe(false);
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});
