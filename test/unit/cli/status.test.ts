import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdminActions, type AdminServer, openAdminServer } from '../../../src/admin/server.ts';
import { runCommand, type Terminal } from '../../../src/cli/commands.ts';
import type { BindingStatus, ProxyStatus } from '../../../src/client/answers.ts';

let folder = '';
let server: AdminServer;
let bindings: BindingStatus[];
let revocations: boolean[];

const ready: BindingStatus = {
  ...{ binding: 'agent-openai', workload: 'w', spiffeId: 'spiffe://example.org/w', instance: 'i-1', way: 'injection' },
  ...{ services: ['openai-api', 'other'], source: 'vault', state: 'Ready', reason: null, generation: 2, path: null },
  lease: { idPrefix: 'openai/creds/w/abc', accessor: 'acc', expiresAt: 1_600_000, renewable: false },
  changedAt: 940_000,
};
const failed: BindingStatus = {
  ...ready,
  ...{ binding: 'filed', instance: null, way: 'file', services: [], state: 'Failed', path: '/run/x/key', lease: null },
  reason: { code: 'credential_denied', detail: 'refused' },
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-status-'));
  bindings = [ready];
  revocations = [];
  const issuer = { url: 'http://127.0.0.1:1', keys: [{ kid: 'kid-1', state: 'current' as const, since: 0 }] };
  const status = (): ProxyStatus => ({
    ...{ proxyUrl: 'http://127.0.0.1:9', ready: true, revision: 'r1', workers: [], now: 1_000_000, bindings },
    ...{ leases: [], ownPaths: [], instances: 0, issuer, tlsProxyUrl: null, gatewayUrl: null },
  });
  const actions: Partial<AdminActions> = {
    status,
    rotateIssuerKey: ({ revoke }) => {
      revocations.push(revoke);
      return issuer;
    },
  };
  server = await openAdminServer(join(folder, 'admin.sock'), actions as AdminActions);
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

async function run(words: readonly string[], terminal: Partial<Terminal> = {}, socket = server.socketPath) {
  const out = { stdout: '', stderr: '' };
  const code = await runCommand({
    ...{
      arguments: [...words, '--socket', socket],
      environment: {},
      workingDirectory: folder,
      uid: 0,
      gid: 0,
      umask: 0,
      withUserMask: (start) => start(),
    },
    ...{ nodePath: process.execPath, nodeArguments: [], nodeVersion: '26', launcher: '', isTerminal: false },
    takeVariable: () => null,
    write: (text) => {
      out.stdout += text;
    },
    complain: (text) => {
      out.stderr += text;
    },
    onSignal: () => () => {},
    onCrash: () => {},
    exitNow: () => expect.fail('ended'),
    ...terminal,
  });
  return { code, ...out };
}

describe('countersign status', () => {
  it('prints a table, and ends with 0 where nothing has failed', async () => {
    expect(await run(['status'])).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        'http://127.0.0.1:9  ready, revision r1, 0 instances',
        '',
        'BINDING       STATE  SPIFFE ID               INSTANCE  SOURCE  GEN  LEASE               ENDS  CHANGED  FOR',
        'agent-openai  Ready  spiffe://example.org/w  i-1       vault   2    openai/creds/w/abc  10m   60s ago  openai-api,other',
        '',
      ].join('\n'),
    });
  });

  it('ends with 1 where a binding has failed, and says why below it', async () => {
    bindings = [ready, failed];
    const { code, stdout } = await run(['status']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^filed +Failed .* \/run\/x\/key\n {2}credential_denied: refused$/m);
    expect((await run(['status', 'agent-openai'])).code).toBe(0);
    expect((await run(['status', 'filed', '--json'])).code).toBe(1);
  });

  it('is in colour on a terminal alone, and not where NO_COLOR is set', async () => {
    bindings = [ready, failed];
    expect((await run(['status'])).stdout).not.toContain('\u001b');
    const { stdout } = await run(['status'], { isTerminal: true });
    expect(stdout).toContain('\u001b[32mReady ');
    expect(stdout).toContain('\u001b[31mFailed');
    const environment = { NO_COLOR: '1' };
    expect((await run(['status'], { isTerminal: true, environment })).stdout).not.toContain('\u001b');
  });

  it('prints JSON whole, or of the bindings that were named', async () => {
    bindings = [ready, failed];
    expect(JSON.parse((await run(['status', '--json'])).stdout)).toMatchObject({ revision: 'r1', bindings });
    expect(JSON.parse((await run(['status', '--json', 'filed'])).stdout)).toMatchObject({ bindings: [failed] });
  });

  it('says what bindings there are where one is not, and what to do where nobody answers', async () => {
    expect(await run(['status', 'agent'])).toEqual({
      code: 64,
      stdout: '',
      stderr: 'countersign status: the policy has no binding "agent"; it has agent-openai\n',
    });
    bindings = [];
    expect((await run(['status'])).stdout).toMatch(/the policy has no bindings\n$/);
    expect(await run(['status'], {}, '/no/such.sock')).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/no proxy listens.*start one/),
    });
  });
});

describe('countersign issuer', () => {
  it('lists the keys, changes them, and drops those of before where that is asked', async () => {
    const listed = 'issuer  http://127.0.0.1:1\n  kid-1  current  since 1970-01-01T00:00:00.000Z\n';
    expect(await run(['issuer'])).toEqual({ code: 0, stdout: listed, stderr: '' });
    expect(revocations).toEqual([]);
    for (const words of [['rotate'], ['rotate', '--revoke']])
      expect((await run(['issuer', ...words])).stdout).toBe(listed);
    expect(revocations).toEqual([false, true]);
    expect(JSON.parse((await run(['issuer', '--json'])).stdout)).toMatchObject({ keys: [{ kid: 'kid-1' }] });
  });
});
