/**
 * Two nodes of a real Vault or OpenBao, made from nothing: raft storage in a folder, one share of the unseal key, loopback alone.
 * VAULT_BIN names the program (`bao`, `vault`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './contract-target.ts';

export const VAULT_BIN = process.env['VAULT_BIN'];

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export class VaultNode {
  readonly address: string;
  readonly #child: ChildProcess;

  constructor(address: string, child: ChildProcess) {
    this.address = address;
    this.#child = child;
  }

  async ask(method: string, path: string, body?: object, token?: string): Promise<Answer> {
    const response = await fetch(`${this.address}/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { 'x-vault-token': token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
  }

  unseal(key: string): Promise<void> {
    return eventually('the node does not unseal', async () => {
      const { status, body } = await this.ask('PUT', 'sys/unseal', { key }).catch(() => ({ status: 0, body: {} }));
      return status === 200 && (body as { sealed?: boolean }).sealed === false;
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

export class VaultCluster {
  readonly active: VaultNode;
  readonly standby: VaultNode;
  readonly root: string;
  readonly unsealKey: string;
  readonly #folder: string;
  readonly #program: string;
  #proxy: VaultNode | null = null;

  static async open(program: string): Promise<VaultCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'vault-nodes-'));
    const nodes: VaultNode[] = [];
    try {
      const active = await startNode(program, folder, 'one', null);
      nodes.push(active);
      const init = await active.ask('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
      const { keys, root_token: root } = init.body as { keys: string[]; root_token: string };
      const unsealKey = String(keys[0]);
      await active.unseal(unsealKey);
      await eventually('nobody is active', async () => (await active.ask('GET', 'sys/health')).status === 200);
      const standby = await startNode(program, folder, 'two', active.address);
      nodes.push(standby);
      await eventually('the second node has not joined', async () => {
        const { body } = await standby.ask('GET', 'sys/seal-status');
        return (body as { initialized?: boolean }).initialized === true;
      });
      await standby.unseal(unsealKey);
      await eventually('the second node is no standby', async () =>
        [429, 473].includes((await standby.ask('GET', 'sys/health')).status),
      );
      return new VaultCluster({ active, standby, root, unsealKey, folder, program });
    } catch (thrown) {
      for (const node of nodes) await node.stop();
      rmSync(folder, { recursive: true });
      throw thrown;
    }
  }

  private constructor(parts: {
    readonly active: VaultNode;
    readonly standby: VaultNode;
    readonly root: string;
    readonly unsealKey: string;
    readonly folder: string;
    readonly program: string;
  }) {
    this.active = parts.active;
    this.standby = parts.standby;
    this.root = parts.root;
    this.unsealKey = parts.unsealKey;
    this.#folder = parts.folder;
    this.#program = parts.program;
  }

  /** The server's own proxy (`bao proxy`, `vault proxy`) with a cache, in front of the active node. */
  async proxied(): Promise<VaultNode> {
    if (this.#proxy !== null) return this.#proxy;
    const port = await freePort();
    const file = join(this.#folder, 'proxy.hcl');
    const lines = [
      'vault {',
      `  address = "${this.active.address}"`,
      '}',
      'cache {',
      '}',
      'listener "tcp" {',
      `  address = "127.0.0.1:${port}"`,
      '  tls_disable = true',
      '  require_request_header = true',
      '}',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const environment = { PATH: process.env['PATH'], HOME: this.#folder };
    const child = spawn(this.#program, ['proxy', `-config=${file}`], { stdio: 'ignore', env: environment });
    const node = new VaultNode(`http://127.0.0.1:${port}`, child);
    this.#proxy = node;
    // It refuses who does not say X-Vault-Request.
    await eventually('the proxy does not start', async () => {
      const { status } = await node.ask('GET', 'sys/seal-status').catch(() => ({ status: 0 }));
      return status === 412;
    });
    return node;
  }

  async configure(path: string, body: object): Promise<void> {
    const answer = await this.active.ask('POST', path, body, this.root);
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  async close(): Promise<void> {
    await Promise.all([this.#proxy?.stop(), this.active.stop(), this.standby.stop()]);
    rmSync(this.#folder, { recursive: true });
  }
}

async function startNode(program: string, folder: string, name: string, leader: string | null): Promise<VaultNode> {
  const [port, clusterPort] = [await freePort(), await freePort()];
  const data = join(folder, name);
  mkdirSync(data);
  const file = join(folder, `${name}.hcl`);
  const lines = [
    'storage "raft" {',
    `  path = "${data}"`,
    `  node_id = "${name}"`,
    '  performance_multiplier = 1',
    ...(leader === null ? [] : ['  retry_join {', `    leader_api_addr = "${leader}"`, '  }']),
    '}',
    'listener "tcp" {',
    `  address = "127.0.0.1:${port}"`,
    `  cluster_address = "127.0.0.1:${clusterPort}"`,
    '  tls_disable = true',
    '}',
    `api_addr = "http://127.0.0.1:${port}"`,
    `cluster_addr = "https://127.0.0.1:${clusterPort}"`,
    'disable_mlock = true',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = spawn(program, ['server', `-config=${file}`], { stdio: 'ignore', env: { PATH: process.env['PATH'] } });
  const node = new VaultNode(`http://127.0.0.1:${port}`, child);
  await eventually('the server does not start', async () => {
    const { status } = await node.ask('GET', 'sys/seal-status').catch(() => ({ status: 0 }));
    return status === 200;
  });
  return node;
}
