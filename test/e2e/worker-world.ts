/**
 * Duty: what the tests of worker processes need: an upstream that streams until it is told to stop, a proxy in a process of
 * its own, and looks at processes and at the audit chain from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin } from '../../src/admin/client.ts';
import type { InstanceAnswer } from '../../src/app.ts';
import { TestCa } from '../wire/upstream-world.ts';
import type { AgentClient, ReachableProxy } from './agent-client.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const LAUNCHER = join(ROOT, 'src', 'launch.js');
export const STREAM_HOST = 'stream.test';
const EVENT_MS = 20;

export interface StreamServer {
  readonly port: number;
  readonly rootFile: string;
  /** Ends every stream in order. */
  finish(): void;
  close(): Promise<void>;
}

/** `GET` anything: an event each 20 ms, `end` as the last one when told so. */
export async function openStreamServer(): Promise<StreamServer> {
  const ca = new TestCa('stream root');
  const folder = mkdtempSync(join(tmpdir(), 'countersign-stream-'));
  const rootFile = join(folder, 'root.pem');
  writeFileSync(rootFile, ca.cert);
  const finishers = new Set<() => void>();
  const server = createServer(ca.leaf(`DNS:${STREAM_HOST}`), (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let count = 0;
    const timer = setInterval(() => response.write(`data: ${count++}\n\n`), EVENT_MS);
    const finish = (): void => {
      clearInterval(timer);
      response.end('data: end\n\n');
    };
    finishers.add(finish);
    response.on('close', () => {
      clearInterval(timer);
      finishers.delete(finish);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    rootFile,
    finish: () => {
      for (const finish of finishers) finish();
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      ca.remove();
      rmSync(folder, { recursive: true });
    },
  };
}

/**
 * The quickstart with `workers`, OpenAI by a lease of each instance's own, a bound service for the stream server, and limits
 * that no spread over workers meets.
 */
export function withWorkers(quickstart: string, workers: number, stream: StreamServer): string {
  const document = (kind: string, name: string, spec: string): string =>
    `---\napiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
  const injection =
    '{ workloadID: ai-agent, credentialSource: vault-internal, services: [stream], propagation: { injection: { bearer: {} } } }';
  return [
    quickstart
      .replace(
        '\n  sandbox:',
        `\n  workers: ${workers}\n  limits: { maxConnectionsPerWorkload: 1000, maxConcurrentPerWorkload: 1000 }\n  upstream:\n    extraRoots: [${stream.rootFile}]\n    allowedNetworks: [127.0.0.1/32]\n    resolve: [{ host: ${STREAM_HOST}, address: 127.0.0.1, dialPort: ${stream.port} }]\n  sandbox:`,
      )
      .replace('credentialSource: vault-openai\n', 'credentialSource: vault-openai\n  perInstance: true\n')
      .replace('limits: { requests: 600/min, concurrent: 32 }', 'limits: { requests: 60000/min, concurrent: 500 }'),
    document('Service', 'stream', `{ addresses: [{ address: ${STREAM_HOST}, port: 443 }] }`),
    document('CredentialBinding', 'stream', injection),
    document('EgressPolicy', 'stream', '{ workloads: [ai-agent], rules: [{ services: [stream], action: allow }] }'),
  ].join('\n');
}

/** A stream that an agent reads through the proxy. */
export class ReadStream {
  events = 0;
  /** The last event came, and the end after it. */
  isWhole = false;
  isOver = false;
  tail = '';
  readonly over: Promise<void>;

  private constructor(socket: Awaited<ReturnType<AgentClient['secure']>>) {
    let text = '';
    let start: () => void = () => {};
    this.over = new Promise((resolve) => {
      start = resolve;
    });
    socket.on('data', (bytes: Buffer) => {
      text = (text + bytes.toString('latin1')).slice(-200);
      this.events++;
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      this.isOver = true;
      this.tail = text;
      this.isWhole = text.includes('data: end') && text.endsWith('0\r\n\r\n');
      start();
    });
  }

  static async open(agent: AgentClient, path: string): Promise<ReadStream> {
    const tunnel = await agent.open(STREAM_HOST);
    if ('status' in tunnel) throw new Error(`no tunnel: ${tunnel.status}`);
    const secure = await agent.secure(tunnel, STREAM_HOST);
    const stream = new ReadStream(secure);
    secure.write(`GET ${path} HTTP/1.1\r\nHost: ${STREAM_HOST}\r\nConnection: close\r\n\r\n`);
    return stream;
  }
}

export interface AuditRecord extends Readonly<Record<string, unknown>> {
  readonly seq: number;
  readonly kind: string;
  readonly exchange?: string;
  readonly connection?: string;
  readonly path?: string;
  readonly code?: string;
  readonly outcome?: string;
}

export function auditRecords(file: string): AuditRecord[] {
  return auditLines(file).map((line) => JSON.parse(line) as AuditRecord);
}

/** Whole lines; the proxy may be writing the next one. */
const auditLines = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);

/** Throws at the first line whose number or link is wrong; returns how many there are. */
export function verifyChain(file: string): number {
  let prev = '0'.repeat(64);
  const lines = auditLines(file);
  for (const [i, line] of lines.entries()) {
    const record = JSON.parse(line) as { seq: number; prev: string };
    if (record.seq !== i + 1 || record.prev !== prev) throw new Error(`the chain breaks at line ${i + 1}`);
    prev = createHash('sha256').update(line).digest('hex');
  }
  return lines.length;
}

/** `w2c5-1` → `w2`. */
export const workerOf = (id: string): string => id.slice(0, id.indexOf('c'));

export function isRunning(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** What a process has open, was started with, and finds in its environment. */
export function looksOf(pid: number): { files: string[]; commandLine: string; environment: string } {
  const files = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return {
    files,
    commandLine: readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
    environment: readFileSync(`/proc/${pid}/environ`, 'latin1'),
  };
}

export interface ProxyProcess extends ReachableProxy {
  readonly child: ChildProcess;
  readonly auditFile: string;
  readonly workerPids: readonly number[];
  output(): string;
  ended: Promise<number | null>;
  remove(): Promise<void>;
}

/** `countersign start` as a process group of its own, as a service manager or a terminal would have it. */
export async function startProxyProcess(stream: StreamServer, workers: number): Promise<ProxyProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-workers-'));
  mkdirSync(join(folder, 'policy'));
  const policy = join(folder, 'policy', 'policy.yaml');
  const quickstart = readFileSync(join(ROOT, 'config', 'quickstart.yaml'), 'utf8').replace(
    /port: 1008[02]/g,
    'port: 0',
  );
  writeFileSync(policy, withWorkers(quickstart, workers, stream));
  const state = join(folder, 'state');
  const child = spawn(process.execPath, [LAUNCHER, 'start', '--config', policy], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: state, CANARY: 'environment-canary' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const socket = join(state, 'admin.sock');
  const isUp = (): boolean => text.includes('audit.jsonl\n') && (workers === 1 || text.includes('workers '));
  try {
    await until(isUp, () => text, 90_000);
  } catch (thrown) {
    child.kill('SIGKILL');
    throw thrown;
  }
  const status = (await callAdmin(socket, 'GET', '/v1/status')) as { proxyUrl: string; workers: { pid: number }[] };
  return {
    child,
    proxyUrl: status.proxyUrl,
    auditFile: join(state, 'audit.jsonl'),
    workerPids: status.workers.map(({ pid }) => pid),
    createInstance: async ({ workload, ttlMs }) =>
      (await callAdmin(socket, 'POST', '/v1/instances', { workload, ttl: `${ttlMs}ms` })) as InstanceAnswer,
    output: () => text,
    ended,
    remove: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function until(isTrue: () => boolean, why: () => string = () => '', deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error(`it did not come to be in time: ${isTrue} ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The kernel takes 0 for the whole group, this test runner included. */
export function required(pid: number | undefined): number {
  if (pid === undefined || pid <= 1) throw new Error('there is no such process');
  return pid;
}

/** Exchanges with an intent and no completion. */
export function unfinished(records: ReturnType<typeof auditRecords>): string[] {
  const ended = new Set(records.filter(({ kind }) => kind === 'completion').map(({ exchange }) => exchange));
  return records.flatMap(({ kind, exchange = '' }) => (kind === 'intent' && !ended.has(exchange) ? [exchange] : []));
}
