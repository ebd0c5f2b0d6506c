/** Duty: the proxy in a process of its own, where its memory shall be seen without that of its peers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin, type InstanceAnswer, type RunningProxy } from '../../src/app.ts';
import type { Revocation } from '../../src/client/answers.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const START_MS = 30_000;

/** What a wire test needs of a proxy. */
export type WireProxy = Pick<
  RunningProxy,
  'proxyUrl' | 'bundleFile' | 'auditFile' | 'createInstance' | 'endInstance' | 'close' | 'sandbox'
>;

export interface ApartProxy extends WireProxy {
  /** Resident memory, in `bytes`. */
  rss(): number;
}

export async function startApart(policyFile: string, stateDirectory: string): Promise<ApartProxy> {
  const child = spawn(process.execPath, [LAUNCHER, 'start', '--config', policyFile], {
    env: { PATH: process.env['PATH'] ?? '', HOME: stateDirectory, COUNTERSIGN_STATE_DIR: stateDirectory },
    stdio: 'ignore',
  });
  const socket = join(stateDirectory, 'admin.sock');
  const create: RunningProxy['createInstance'] = async ({ workload, ttlMs }) =>
    (await callAdmin(socket, 'POST', '/v1/instances', { workload, ttl: `${ttlMs}ms` })) as InstanceAnswer;
  const first = await untilItAnswers(child, () => create({ workload: 'ai-agent', ttlMs: 60_000 }));
  return {
    proxyUrl: first.proxyUrl.replace(/\/\/[^@]*@/, '//'),
    bundleFile: first.bundleFile,
    auditFile: join(stateDirectory, 'audit.jsonl'),
    sandbox: null,
    createInstance: create,
    endInstance: async (id) => (await callAdmin(socket, 'DELETE', `/v1/instances/${id}`)) as Revocation,
    rss: () => 1_024 * Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]),
    close: async () => {
      const closed = new Promise((resolve) => child.once('close', resolve));
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      child.kill('SIGTERM');
      await closed;
      clearTimeout(late);
      return { revoked: 0, failed: 0 };
    },
  };
}

async function untilItAnswers<T>(child: ChildProcess, ask: () => Promise<T>): Promise<T> {
  const end = performance.now() + START_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > end || child.exitCode !== null) {
        child.kill('SIGKILL');
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
