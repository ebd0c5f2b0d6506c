/** `countersign instance`, and how `countersign run` keeps its own instance. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceAnswer, InstanceListing } from '../../src/client/client.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { until } from './worker-world.ts';

const LAUNCHER = join(fileURLToPath(new URL('../..', import.meta.url)), 'src', 'launch.js');
const TTL_S = 3;

let sandboxed: SandboxedProxy;
beforeAll(async () => {
  sandboxed = await openSandboxedProxy((policy) =>
    policy.replace('\n  sandbox:', `\n  instances: { defaultTtl: ${TTL_S}s, maxTtl: 8h, grace: 200ms }\n  sandbox:`),
  );
});
afterAll(() => sandboxed.close());

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** In a process of its own, since the proxy is in this one. */
function countersign(words: readonly string[], state = 'state'): Promise<Outcome> {
  const child = spawn(process.execPath, [LAUNCHER, ...words], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: sandboxed.folder,
      COUNTERSIGN_STATE_DIR: join(sandboxed.folder, state),
    },
    timeout: 40_000,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes));
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
}

const instance = (...words: string[]) => countersign(['instance', ...words]);
const notes = (id: string) =>
  sandboxed
    .auditLines()
    .filter((line) => line['kind'] === 'instance' && line['instance'] === id)
    .map((line) => `${String(line['event'])} by ${String(line['by'])}`);

describe('countersign instance', () => {
  it('creates, shows, lists, extends and revokes', async () => {
    // The socket is the default one of the state folder.
    const created = await instance('create', '--ttl', '10m', '-l', 'run=7', '--service', 'openai-api', '--json');
    expect([created.status, created.stderr]).toEqual([0, '']);
    const answer = JSON.parse(created.stdout) as InstanceAnswer;
    expect(answer).toMatchObject({ labels: { run: '7' }, scope: [{ services: ['openai-api'] }] });
    const shown = await instance('show', answer.id);
    expect(shown.stdout).toMatch(/^SPIFFE ID +spiffe:\/\/quickstart\.local\/ai-agent\/i-[0-9a-f]{16}$/m);
    expect(shown.stdout).toMatch(/^ends in +10m /m);
    const listed = await instance('list', '-l', 'run=7');
    expect(listed.stdout).toMatch(
      new RegExp(`^ID +WORKLOAD +ENDS IN +LABELS\n${answer.id} +ai-agent +10m +run=7 \\(scoped\\)\n$`),
    );
    const extended = await instance('extend', answer.id, '--ttl', '1h', '--json');
    expect((JSON.parse(extended.stdout) as InstanceListing).expiresAt).toBeGreaterThan(answer.expiresAt + 2_000_000);
    const ended = await instance('revoke', answer.id, 'i-0123456789abcdef');
    expect(ended.status).toBe(1);
    expect(ended.stdout).toBe(`${answer.id} has ended; leases of its own revoked: 0\n`);
    expect(ended.stderr).toBe('no instance i-0123456789abcdef lives; countersign instance list shows those that do\n');
    expect(await instance('show', answer.id)).toMatchObject({ status: 1, stdout: '' });
    expect(await instance('list')).toMatchObject({ status: 0, stdout: '', stderr: 'no instance lives\n' });
    for (const text of [shown.stdout, listed.stdout, extended.stdout]) expect(text).not.toContain(answer.token);
    expect(notes(answer.id)).toEqual(
      ['created', 'extended', 'revoked'].map((each) => `${each} by countersign instance`),
    );
  });

  it.each<[string, string[], number, RegExp]>([
    ['a workload that the policy does not know', ['create', '-w', 'nobody'], 78, /known are ai-agent/],
    ['more time than there is', ['create', '--ttl', '24h'], 64, /at most 8h/],
    ['a Service out of reach', ['create', '--service', 'github'], 64, /of which the policy gives ai-agent nothing/],
    ['an instance that is not there', ['extend', 'i-0123456789abcdef', '--ttl', '1m'], 1, /no instance/],
  ])('refuses %s with an exit code and the next step', async (_name, words, status, message) => {
    const outcome = await instance(...words);
    expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(message) });
    expect(outcome.stderr).not.toContain('    at ');
  });
});

describe('countersign run', () => {
  const ask = (seconds: number): string =>
    `sleep ${seconds}; curl -s -o /dev/null -w '%{http_code}' https://api.openai.com/v1/models`;
  const run = (...words: string[]) => countersign(['run', '--workload', 'ai-agent', ...words]);

  it('keeps its instance alive as long as the command runs, and ends it then', async () => {
    const outcome = await run('--', 'sh', '-c', ask(2 * TTL_S));
    expect(outcome).toMatchObject({ status: 0, stdout: '200' });
    const [, id = ''] = /running as \S+\/(i-[0-9a-f]+)\n/.exec(outcome.stderr) ?? [];
    expect(notes(id).slice(0, 2)).toEqual(['created by countersign run', 'extended by countersign run']);
    expect(notes(id).at(-1)).toBe('revoked by countersign run');
    await until(() => sandboxed.proxy.leases().length === 0);
  });

  it('keeps to the time that it was given', async () => {
    const outcome = await run('--ttl', '1s', '--', 'sh', '-c', ask(2));
    // The proxy answers CONNECT with 407, and curl has no status of the destination.
    expect(outcome.stdout).toBe('000');
  });

  it('keeps it alive in a proxy of its own too', async () => {
    const outcome = await countersign(
      ['run', '--quiet', '--config', sandboxed.policyFile, '--', 'sh', '-c', ask(2 * TTL_S)],
      'own-state',
    );
    expect(outcome).toEqual({ status: 0, stdout: '200', stderr: '' });
  });
});
