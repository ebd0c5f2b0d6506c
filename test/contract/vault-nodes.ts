/**
 * Two nodes of a real Vault or OpenBao, made from nothing: raft storage in a folder, one share of the unseal key, loopback alone.
 * Plug-ins come from the folder VAULT_PLUGIN_DIR.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './contract-target.ts';
import { endProcess, freePort, VAULT_PLUGIN_DIR } from './server-process.ts';

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
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
    await endProcess(this.#child);
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

  /** `setting`: one more line of the nodes' configuration. */
  static async open(program: string, setting = ''): Promise<VaultCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'vault-nodes-'));
    const nodes: VaultNode[] = [];
    try {
      const active = await startNode({ program, folder, setting, name: 'one', leader: null });
      nodes.push(active);
      const init = await active.ask('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
      const { keys, root_token: root } = init.body as { keys: string[]; root_token: string };
      const unsealKey = String(keys[0]);
      await active.unseal(unsealKey);
      await eventually('nobody is active', async () => (await active.ask('GET', 'sys/health')).status === 200);
      const standby = await startNode({ program, folder, setting, name: 'two', leader: active.address });
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

  async seal(): Promise<void> {
    for (const node of [this.standby, this.active]) await node.ask('PUT', 'sys/seal', {}, this.root);
  }

  async unseal(): Promise<void> {
    for (const node of [this.active, this.standby]) await node.unseal(this.unsealKey);
    await eventually('nobody is active', async () => (await this.active.ask('GET', 'sys/health')).status === 200);
  }

  /** Every file of VAULT_PLUGIN_DIR, as a secrets engine of that name. */
  async registerPlugins(): Promise<void> {
    for (const command of VAULT_PLUGIN_DIR === undefined ? [] : readdirSync(VAULT_PLUGIN_DIR)) {
      const sha256 = createHash('sha256')
        .update(readFileSync(join(String(VAULT_PLUGIN_DIR), command)))
        .digest('hex');
      await this.configure(`sys/plugins/catalog/secret/${command}`, { sha256, command });
    }
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

interface NodeOrder {
  readonly program: string;
  readonly folder: string;
  readonly setting: string;
  readonly name: string;
  readonly leader: string | null;
}

async function startNode({ program, folder, setting, name, leader }: NodeOrder): Promise<VaultNode> {
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
    setting,
    ...(VAULT_PLUGIN_DIR === undefined ? [] : [`plugin_directory = "${VAULT_PLUGIN_DIR}"`]),
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
