/**
 * Duty: a real Vault or OpenBao in development mode, as a process of one suite, of the program that VAULT_BIN names (`bao`, `vault`).
 * Holds: loopback only, a port that was free; with `close` process and folder are gone.
 * Not here: nodes that are initialised, sealed and joined (vault-nodes.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const VAULT_BIN = process.env['VAULT_BIN'];
/** Folder with the plug-ins of the openai and the aws engine. */
export const VAULT_PLUGIN_DIR = process.env['VAULT_PLUGIN_DIR'];

const START_MS = 20_000;
const END_MS = 5_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Asked first, for a server ends its plug-ins; killed where it does not heed. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  clearTimeout(late);
}

export class DevelopmentServer {
  readonly root = 'contract-root';
  readonly address: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'vault-dev-'));
  readonly #child: ChildProcess;

  static async open(): Promise<DevelopmentServer> {
    const server = new DevelopmentServer(`127.0.0.1:${await freePort()}`);
    const end = performance.now() + START_MS;
    while (!(await server.#isReady())) {
      if (server.#child.exitCode === null && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      await server.close();
      throw new Error(`${VAULT_BIN} did not come up as a development server`);
    }
    return server;
  }

  private constructor(listen: string) {
    this.address = `http://${listen}`;
    const plugins = VAULT_PLUGIN_DIR === undefined ? [] : [`-dev-plugin-dir=${VAULT_PLUGIN_DIR}`];
    const words = ['server', '-dev', `-dev-listen-address=${listen}`, `-dev-root-token-id=${this.root}`];
    this.#child = spawn(String(VAULT_BIN), [...words, '-dev-no-store-token', ...plugins], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'], HOME: this.#folder },
    });
  }

  async close(): Promise<void> {
    await endProcess(this.#child);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** A development server is active a moment before its secret/ is there, which is the last thing that it makes. */
  async #isReady(): Promise<boolean> {
    const headers = { 'x-vault-token': this.root };
    return fetch(`${this.address}/v1/secret/config`, { headers, signal: AbortSignal.timeout(2_000) }).then(
      ({ status }) => status === 200,
      () => false,
    );
  }
}
