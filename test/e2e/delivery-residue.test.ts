/**
 * Duty: how often a delivered key stands in the proxy's memory, while it is delivered and when its lease is over.
 * Source: proc(5). The promise: at most 2 copies, none of what has ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInMemory } from '../../src/delivery/private-file.ts';
import { createSandboxRegistry } from '../../src/sandbox/registry.ts';
import { provisionSandbox } from '../../src/sandbox/vault/provision.ts';
import { openSandboxVault, type SandboxVault } from '../../src/sandbox/vault/server.ts';
import { countInMemory } from '../clients/memory-scan.ts';
import { systemClock } from '../contract/contract-target.ts';
import { until } from './worker-world.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const ownUid = process.getuid?.() ?? 0;
const MAX_COPIES = 2;
/** From the middle of a key: what is allocated anew overwrites beginnings. */
const PIECE = [40, 72] as const;
let home = '';
let memory = '';
let vault: SandboxVault;
let child: ChildProcess;

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const policyText = (issuerPort: number): string => `
apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec: { listeners: { explicit: { port: 0 } }, issuer: { listen: { port: ${issuerPort} } } }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: w }
spec: { workloadID: w, selectors: [{ unix:uid: [${ownUid}] }] }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: c }
spec: { vault: { address: "${vault.address}", role: openai-apikeys, path: openai/creds/w } }
${['json', 'raw', 'env']
  .map(
    (format) => `---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: ${format} }
spec: { workloadID: w, credentialSource: c, propagation: { file: { path: ${join(memory, format)}, format: ${format} } } }
`,
  )
  .join('')}`;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'countersign-residue-'));
  memory = mkdtempSync('/dev/shm/countersign-residue-');
  chmodSync(memory, 0o711);
  mkdirSync(join(home, 'policy'));
  const registry = createSandboxRegistry(systemClock);
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock: systemClock, registry });
  const issuerPort = await freePort();
  await provisionSandbox({
    ...{ address: vault.address, token: vault.rootToken, trustDomain: 'countersign.local', workloads: ['w'] },
    ...{ issuerUrl: `http://127.0.0.1:${issuerPort}`, openaiTtl: '10s' },
  });
  writeFileSync(join(home, 'policy', 'policy.yaml'), policyText(issuerPort));
  child = spawn(process.execPath, [LAUNCHER, 'start', '--config', join(home, 'policy', 'policy.yaml')], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, COUNTERSIGN_STATE_DIR: join(home, 'state') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
});
afterAll(async () => {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  await vault.close();
  rmSync(home, { recursive: true });
  rmSync(memory, { recursive: true });
});

const keyIn: Readonly<Record<string, () => string>> = {
  json: () => (JSON.parse(readFileSync(join(memory, 'json'), 'utf8')) as { api_key: string }).api_key,
  raw: () => readFileSync(join(memory, 'raw'), 'utf8'),
  env: () => readFileSync(join(memory, 'env'), 'utf8').trim().slice('API_KEY='.length),
};
const pieceOf = (key: string): Buffer => Buffer.from(key.slice(...PIECE), 'latin1');

describe.skipIf(!isInMemory('/dev/shm'))('a delivered key (skipped where /dev/shm is no tmpfs)', () => {
  it('stands in memory at most twice while it is delivered, and not at all afterwards', {
    timeout: 90_000,
  }, async () => {
    const formats = Object.entries(keyIn);
    await until(() => formats.every(([format]) => existsSync(join(memory, format))));
    const ended: string[] = [];
    for (const [format, read] of formats) {
      const first = read();
      await until(
        () => read() !== first,
        () => format,
      );
      ended.push(first);
    }
    // What was given back is revoked and zeroed within the call to Vault.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const live = formats.map(([, read]) => read());
    const counts = countInMemory(child.pid ?? 0, [...ended, ...live].map(pieceOf));
    const countOf = (key: string): number => counts.get(pieceOf(key).toString('latin1')) ?? 0;
    const shown = { live: live.map(countOf), ended: ended.map(countOf) };
    process.stdout.write(`memory, copies of delivered keys (json, raw, env): ${JSON.stringify(shown)}\n`);
    expect(shown.ended).toEqual([0, 0, 0]);
    for (const count of shown.live) expect(count).toBeLessThanOrEqual(MAX_COPIES);
    // Where nothing is found at all, the search is blind.
    expect(Math.max(...shown.live)).toBeGreaterThan(0);
  });
});
