import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAuthority } from '../../../src/core/authority.ts';
import type { Connection } from '../../../src/listener/connection.ts';
import type { Tunnel } from '../../../src/tunnel/tunnel.ts';
import { createAccountNames } from '../../../src/workload/accounts.ts';
import { createWorkloadStage } from '../../../src/workload/identify.ts';
import { createInstanceRegistry } from '../../../src/workload/instances.ts';
import { processOf } from '../../../src/workload/local-process.ts';
import type { SelectorOptions, WorkloadIdentityOptions } from '../../../src/workload/options.ts';
import { rememberPlaceholders } from '../../../src/workload/placeholders.ts';
import { socketOwner } from '../../../src/workload/socket-owner.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const uid = String(process.getuid?.() ?? 0);
const refusal = { code: 'identity_required' };

/** A real loopback connection, both ends in this process. */
class Loopback {
  readonly #server = createServer();
  #accepted: Socket | null = null;
  #client: Socket | null = null;

  async open(host: string): Promise<Connection> {
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    const accepted = new Promise<Socket>((resolve) => this.#server.once('connection', resolve));
    this.#client = connect((this.#server.address() as AddressInfo).port, host);
    this.#accepted = await accepted;
    const socket = this.#accepted;
    return {
      id: 'c1',
      socket,
      way: 'explicit',
      remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
      local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
      acceptedAt: 0,
    };
  }

  close(): void {
    this.#client?.destroy();
    this.#accepted?.destroy();
    this.#server.close();
  }
}

let loopback: Loopback;
beforeEach(() => {
  loopback = new Loopback();
});
afterEach(() => loopback.close());

const identity = (workload: string, ...selectors: SelectorOptions[]): WorkloadIdentityOptions => ({
  name: workload,
  workload,
  selectors,
});

function stage(identities: WorkloadIdentityOptions[], instances = createInstanceRegistry(new FakeClock())) {
  const accounts = { userName: () => 'agent', groupName: () => null };
  const placeholdersOf = rememberPlaceholders(Buffer.alloc(32));
  return createWorkloadStage({
    trustDomain: 'test.example',
    placeholders: (spiffeId, _name, instance) => placeholdersOf(spiffeId, instance),
    instances,
    accounts,
    identities: () => identities,
  });
}

const tunnelOf = (connection: Connection, proxyAuthorization: string | null = null): Tunnel => ({
  connection,
  kind: 'connect',
  authority: parseAuthority('api.openai.com:443'),
  proxyAuthorization,
});

describe('the kernel’s evidence', () => {
  it.each([['127.0.0.1'], ['::1']])('names the uid of the other end on %s', async (host) => {
    const { remote, local } = await loopback.open(host);
    expect(await socketOwner(remote, local)).toMatchObject({ uid: Number(uid) });
  });

  it('says nothing of a connection that does not exist', async () => {
    const { remote, local } = await loopback.open('127.0.0.1');
    expect(await socketOwner({ ...remote, port: remote.port === 1 ? 2 : 1 }, local)).toBeNull();
    expect(await socketOwner({ ...remote, address: '192.0.2.1' }, local)).toBeNull();
  });

  it('takes only an established row, and never the overflow uid', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-proc-'));
    const row = (state: string, owner: number): string =>
      `   0: 0100007F:C350 0100007F:2710 ${state} 00000000:00000000 00:00000000 00000000 ${owner}        0 4242 1 0\n`;
    const ask = () =>
      socketOwner({ address: '127.0.0.1', port: 50_000 }, { address: '127.0.0.1', port: 10_000 }, folder);
    try {
      writeFileSync(join(folder, 'tcp'), row('01', 1001));
      expect(await ask()).toEqual({ uid: 1001, inode: '4242' });
      writeFileSync(join(folder, 'tcp'), row('06', 0));
      expect(await ask()).toBeNull();
      writeFileSync(join(folder, 'tcp'), row('01', 65_534));
      expect(await ask()).toBeNull();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('finds the one process that holds the socket, and nobody where several do', async () => {
    const { remote, local } = await loopback.open('127.0.0.1');
    const owner = await socketOwner(remote, local);
    const facts = owner === null ? null : await processOf(owner);
    expect(facts).toMatchObject({ pid: process.pid, exe: process.execPath });
    expect(await facts?.sha256()).toMatch(/^[0-9a-f]{64}$/);
    expect(await processOf({ uid: Number(uid), inode: '1' })).toBeNull();
  });
});

describe('identify', () => {
  it('names the workload whose every selector matches, by any of its values', async () => {
    const connection = await loopback.open('127.0.0.1');
    const workload = await stage([
      identity(
        'ai-agent',
        { key: 'unix:uid', values: ['999999', uid] },
        { key: 'process:exe', values: [process.execPath] },
      ),
    ]).identify(tunnelOf(connection));
    expect(workload).toMatchObject({
      name: 'ai-agent',
      instance: null,
      spiffeId: { uri: 'spiffe://test.example/ai-agent' },
    });
    expect(workload.evidence).toEqual([`unix:uid=${uid}`, `process:exe=${process.execPath}`]);
  });

  it.each<[string, SelectorOptions[]]>([
    ['another uid', [{ key: 'unix:uid', values: ['999999'] }]],
    [
      'one selector of two that fails',
      [
        { key: 'unix:uid', values: [uid] },
        { key: 'process:name', values: ['no-such-program'] },
      ],
    ],
    ['an identity without selectors', []],
  ])('does not take %s', async (_name, selectors) => {
    const connection = await loopback.open('127.0.0.1');
    await expect(stage([identity('ai-agent', ...selectors)]).identify(tunnelOf(connection))).rejects.toMatchObject(
      refusal,
    );
  });

  it('refuses where two workloads match', async () => {
    const connection = await loopback.open('127.0.0.1');
    const both = [
      identity('a', { key: 'unix:uid', values: [uid] }),
      identity('b', { key: 'unix:user', values: ['agent'] }),
    ];
    await expect(stage(both).identify(tunnelOf(connection))).rejects.toMatchObject(refusal);
  });

  it('takes an instance token, and lets a wrong one not fall back to weaker evidence', async () => {
    const connection = await loopback.open('127.0.0.1');
    const instances = createInstanceRegistry(new FakeClock());
    const identities = [identity('ai-agent', { key: 'unix:uid', values: [uid] })];
    const { instance, token } = instances.create('ai-agent', 60_000);
    const workloads = stage(identities, instances);
    const byToken = await workloads.identify(tunnelOf(connection, `Bearer ${token}`));
    expect(byToken).toMatchObject({ name: 'ai-agent', instance: instance.id });
    await expect(workloads.identify(tunnelOf(connection, 'Bearer wrong'))).rejects.toMatchObject(refusal);
    instances.end(instance.id);
    expect(workloads.isCurrent(byToken)).toBe(false);
    await expect(workloads.identify(tunnelOf(connection, `Bearer ${token}`))).rejects.toMatchObject(refusal);
  });

  it('does not take the token of a workload that the policy no longer names', async () => {
    const connection = await loopback.open('127.0.0.1');
    const instances = createInstanceRegistry(new FakeClock());
    const { token } = instances.create('gone', 60_000);
    await expect(
      stage([identity('ai-agent')], instances).identify(tunnelOf(connection, `Bearer ${token}`)),
    ).rejects.toMatchObject(refusal);
  });
});

describe('account names', () => {
  it('come from the files of the system, and unknown ids have none', () => {
    const accounts = createAccountNames();
    expect(accounts.userName(0)).toBe('root');
    expect(accounts.groupName(0)).toBe('root');
    expect(accounts.userName(4_294_967)).toBeNull();
  });
});

describe('placeholders', () => {
  it('are one object for all connections of an instance, and another for another instance', async () => {
    const workloads = stage([identity('ai-agent')]);
    const described = await Promise.all(['i-1', 'i-1', 'i-2'].map((id) => workloads.describe('ai-agent', id)));
    const [first, again, other] = described.map(({ placeholders }) => placeholders);
    expect(again).toBe(first);
    expect(other?.apiKey).not.toBe(first?.apiKey);
  });
});
