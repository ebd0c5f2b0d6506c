/**
 * Duty: whatever moment a process is killed at, the next one revokes what it left: no lease outlives the sweep of the next start.
 * How often: 8 times, or as COUNTERSIGN_CRASHES says.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSandboxRegistry } from '../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../src/sandbox/vault/server.ts';
import { systemClock } from '../../src/system-clock.ts';
import type { LeaseOrder } from '../fakes/lease-process.ts';
import { openLeaseWorld, SIGNING_KEY_PEM } from '../unit/credential/lease-world.ts';

const CRASHES = Number(process.env['COUNTERSIGN_CRASHES'] ?? 8);
const PROGRAM = fileURLToPath(new URL('../fakes/lease-process.ts', import.meta.url));
let vault: SandboxVault;
let folder: string;
let order: LeaseOrder;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lease-crash-'));
  const registry = createSandboxRegistry(systemClock);
  const revocation = { kind: 'jwt', mount: 'jwt', role: 'janitor', audience: ['vault'] } as const;
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock: systemClock, registry });
  const { sources } = await openLeaseWorld(vault.address, vault.rootToken, {
    ...{ leaseTtl: '1h', clock: systemClock, source: { revocation } },
  });
  order = { folder, keyPem: SIGNING_KEY_PEM, sources, workloads: 200 };
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await vault.close();
  rmSync(folder, { recursive: true });
});

function begin(what: LeaseOrder): {
  readonly child: ChildProcess;
  said(line: string): Promise<void>;
  end(): Promise<void>;
} {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(what)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const lines: string[] = [];
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return {
    child,
    said: (line) => expect.poll(() => lines, { timeout: 10_000, interval: 5 }).toContain(line),
    end: async () => {
      child.kill('SIGKILL');
      await exited;
      children.delete(child);
    },
  };
}

/** A moment of the start, of the first logins, of many leases. */
const moments = (): number => Math.random() * 900;

it(
  `${CRASHES} crashes leave no lease behind`,
  async () => {
    const left: number[] = [];
    for (let crash = 0; crash < CRASHES; crash++) {
      const { end } = begin(order);
      await new Promise((resolve) => setTimeout(resolve, moments()));
      await end();
      left.push(vault.liveLeases().length);
      if (crash % 4 !== 3) continue;
      // Every fourth start lives until it has swept, and makes nothing.
      const next = begin({ ...order, workloads: 0 });
      await next.said('swept');
      expect(vault.liveLeases(), `after crash ${crash + 1}`).toEqual([]);
      await next.end();
    }
    expect(Math.max(...left), 'a crash must have left something for this to mean anything').toBeGreaterThan(0);
    expect(readFileSync(join(folder, 'leases.journal'), 'utf8')).not.toMatch(/hvs\.|sk-/);
    if (CRASHES >= 50) process.stderr.write(`left behind by each crash: ${left.join(' ')}\n`);
  },
  CRASHES * 5_000,
);
