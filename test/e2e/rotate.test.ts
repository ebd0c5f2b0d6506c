/** A long-lived key in a file is replaced by one command, and no workload sees it. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INJECTED } from '../wire/proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld } from '../wire/proxy-world.ts';
import { until } from '../wire/upstream-world.ts';

/** Keys are delivered to no disk. */
const memory = mkdtempSync('/dev/shm/rotate-test-');
const deliveredFile = join(memory, 'key');
const delivery = `
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: delivered }
spec:
  workloadID: ai-agent
  credentialSource: internal
  propagation: { file: { path: ${deliveredFile}, format: raw } }
`;
const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
let world: ProxyWorld;
let keyFile = '';

function put(key: string, mode = 0o400): void {
  rmSync(keyFile, { force: true });
  writeFileSync(keyFile, `${key}\n`);
  chmodSync(keyFile, mode);
  utimesSync(keyFile, 0, 0);
}

beforeAll(async () => {
  world = await openProxyWorld('{}', (policy, folder) => {
    keyFile = join(folder, 'key');
    put('sk-rotated-number-one');
    return policy
      .replace(/(name: internal \}\nspec: ).*/, '$1{ file: { path: ./key } }')
      .replace(
        '{ workloadID: ai-agent }\n',
        `{ workloadID: ai-agent, selectors: [{ unix:uid: [${userInfo().uid}] }] }\n`,
      )
      .concat(delivery);
  });
});
afterAll(async () => {
  await world.close();
  rmSync(memory, { recursive: true });
});

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function rotate(words: readonly string[], socket = world.proxy.adminSocket): Promise<Outcome> {
  const child = spawn(process.execPath, [LAUNCHER, 'rotate', ...words, '--socket', socket], {
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent' },
    timeout: 30_000,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes));
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
}

async function begin(body: string, length: number) {
  const socket = await world.tunnel(INJECTED);
  socket.write(`POST /x HTTP/1.1\r\nHost: injected.test\r\nContent-Length: ${length}\r\n\r\n${body}`);
  return socket;
}

async function ask(): Promise<string> {
  const socket = await begin('ab', 2);
  const { text } = await hear(socket, (heard) => heard.endsWith('ok'));
  socket.destroy();
  expect(text).toMatch(/^HTTP\/1\.1 200/);
  return lastKey();
}

const lastKey = (): string => world.understood.at(-1)?.fields.find((field) => field.startsWith('Bearer ')) ?? '';

describe('countersign rotate', () => {
  it('gives new requests the new key, and lets what is under way end with the old one', async () => {
    expect(await ask()).toBe('Bearer sk-rotated-number-one');
    const underWay = await begin('a', 2);
    while (world.pending.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    put('sk-rotated-number-two');
    const outcome = await rotate(['internal']);
    expect([outcome.status, outcome.stdout, outcome.stderr]).toEqual([0, '2 leases replaced\n', '']);
    expect(await ask()).toBe('Bearer sk-rotated-number-two');
    // Also in a file of the workload, which would be looked at again within 15 s.
    await until(() => readFileSync(deliveredFile, 'utf8') === 'sk-rotated-number-two');
    underWay.write('b');
    expect((await hear(underWay, (heard) => heard.endsWith('ok'))).text).toMatch(/^HTTP\/1\.1 200/);
    expect(lastKey()).toBe('Bearer sk-rotated-number-one');
    expect(world.audit().filter((line) => line['kind'] === 'rotate')).toMatchObject([
      { source: 'internal', by: 'countersign rotate', replaced: 2, failed: 0 },
    ]);
  });

  it('goes on with the old key where the new one cannot be used, and says so', async () => {
    put('sk-rotated-number-three', 0o444);
    const outcome = await rotate(['internal', '--json']);
    expect(JSON.parse(outcome.stdout)).toEqual({ source: 'internal', replaced: 0, failed: 2 });
    expect(outcome.status).toBe(1);
    expect(world.proxy.status().bindings.find(({ binding }) => binding === 'injected')?.reason).toEqual({
      code: 'credential_invalid',
      detail: expect.stringMatching(/may be used by its group or by others/),
    });
    expect(await ask()).toBe('Bearer sk-rotated-number-two');
  });

  it('tells what is wrong, with the next step', async () => {
    const cases: readonly [Promise<Outcome>, number, RegExp][] = [
      [rotate([]), 64, /rotate which source\?/],
      [rotate(['internal', 'aws']), 64, /rotate takes one source; what is "aws"\?/],
      [rotate(['nothing']), 78, /the policy has no CredentialSource nothing;/],
      [rotate(['../../../status']), 78, /the policy has no CredentialSource/],
      [rotate(['\r\nX: 1']), 78, /the policy has no CredentialSource of that name/],
      [rotate(['aws']), 0, /^$/],
      [rotate(['internal'], '/nonexistent/admin.sock'), 69, /no proxy listens on .*; start one/],
    ];
    for (const [outcome, status, message] of cases) {
      const { stderr, status: ended } = await outcome;
      expect(stderr).toMatch(message);
      expect(ended).toBe(status);
    }
  });
});
