/**
 * Duty: a proxy on the sandbox for a test file, and programs that use it as `countersign run` starts them.
 * Holds: everything in a folder of its own, on ports that are free; nothing is left behind.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunningProxy, startProxy } from '../../src/app.ts';
import { recordsIn } from '../audit-file.ts';
import { leaksIn } from '../fakes/leak-search.ts';
import { secretsInMemory } from './memory-scan.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAUNCHER = join(ROOT, 'src', 'launch.js');
const PROGRAM_DEADLINE_MS = 60_000;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SandboxedProxy {
  readonly proxy: RunningProxy;
  readonly folder: string;
  readonly policyFile: string;
  /** Runs a program as the workload `ai-agent`, by the real command line. */
  run(
    command: readonly string[],
    options?: { readonly env?: Record<string, string>; readonly input?: string; readonly byGateway?: boolean },
  ): Promise<Outcome>;
  /**
   * Runs a Node program of test/clients/agents, or any command. When it prints `DONE` and its pid, its memory is searched for
   * every secret that the sandbox ever issued, then it may end.
   */
  runAgent(
    program: string | readonly string[],
    options?: { readonly env?: Record<string, string>; readonly byGateway?: boolean },
  ): Promise<
    Outcome & { readonly secretsFound: string[]; readonly placeholdersFound: number; readonly secretsKnown: number }
  >;
  auditLines(): Record<string, unknown>[];
  /** Searched for secrets at the end, as are log, audit, metrics, status and every file of the state folder. */
  readonly received: string[];
  /** @throws where 12 bytes of a secret, raw or encoded, stand in anything that somebody could read. */
  close(): Promise<void>;
}

/** The quickstart policy with free ports and folders of the test's own; `edit` may change its text. */
export async function openSandboxedProxy(
  edit: (policy: string) => string = (policy) => policy,
): Promise<SandboxedProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const policyFile = join(folder, 'policy', 'quickstart.yaml');
  mkdirSync(join(folder, 'policy'));
  const quickstart = readFileSync(join(ROOT, 'config', 'quickstart.yaml'), 'utf8').replace(
    /port: 1008[02]/g,
    'port: 0',
  );
  writeFileSync(policyFile, edit(quickstart));
  const logLines: string[] = [];
  /** What programs printed and agents were answered. */
  const received: string[] = [];
  const kept = async (outcome: Promise<Outcome>): Promise<Outcome> => {
    const { stdout, stderr } = await outcome;
    received.push(stdout.slice(0, MAX_KEPT_TEXT), stderr.slice(0, MAX_KEPT_TEXT));
    return outcome;
  };
  const proxy = await startProxy({
    configPaths: [policyFile],
    stateDirectory: join(folder, 'state'),
    ownUid: process.getuid?.() ?? 0,
    userRootFiles: [],
    log: (line) => logLines.push(line),
    workerProgram: { nodePath: process.execPath, arguments: [LAUNCHER, 'worker'] },
  });
  const command = (words: readonly string[], byGateway = false): string[] => [
    LAUNCHER,
    'run',
    ...(byGateway ? ['--gateway'] : []),
    '--quiet',
    '--socket',
    proxy.adminSocket,
    '--workload',
    'ai-agent',
    '--',
    ...words,
  ];
  return {
    proxy,
    folder,
    policyFile,
    received,
    run: (words, { env = {}, input, byGateway = false } = {}) => {
      const child = spawn(process.execPath, command(words, byGateway), {
        env: { ...cleanEnvironment(folder), ...env },
        cwd: folder,
        detached: true,
      });
      child.stdin?.end(input ?? '');
      return kept(outcomeOf(child));
    },
    runAgent: async (program, { env = {}, byGateway = false } = {}) => {
      const words =
        typeof program === 'string' ? [process.execPath, join(ROOT, 'test', 'clients', 'agents', program)] : program;
      const child = spawn(process.execPath, command(words, byGateway), {
        env: { ...cleanEnvironment(folder), ...env },
        cwd: folder,
        detached: true,
      });
      const secrets = () => proxy.sandbox?.registry.issuedSecrets() ?? [];
      const scan = new Promise<{ secrets: string[]; placeholders: string[] }>((resolve) => {
        let text = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          text += chunk;
          const pid = /^DONE ([0-9]+)$/m.exec(text)?.[1];
          if (pid === undefined || child.stdin?.writableEnded) return;
          // The placeholder must be found, or the search itself is blind.
          resolve({
            secrets: secretsInMemory(Number(pid), secrets()),
            placeholders: secretsInMemory(Number(pid), ['sk-placeholder-']),
          });
          child.stdin?.end();
        });
        child.once('close', () => resolve({ secrets: [], placeholders: [] }));
      });
      const [outcome, found] = await Promise.all([kept(outcomeOf(child)), scan]);
      return {
        ...outcome,
        secretsFound: found.secrets,
        placeholdersFound: found.placeholders.length,
        secretsKnown: secrets().length,
      };
    },
    auditLines: () => recordsIn(proxy.auditFile),
    close: async () => {
      const shown = [JSON.stringify(proxy.status()), await metricsOf(proxy.adminSocket), ...received];
      await proxy.close();
      const written = [...logLines, ...textsBelow(join(folder, 'state'))].join('\n');
      const readable = [...shown, ...logLines, ...textsBelow(folder)].join('\n');
      rmSync(folder, { recursive: true });
      const leaks = leaksIn(readable, proxy.sandbox?.registry.issuedSecrets() ?? []);
      const forms = [...new Set(leaks.map(({ form }) => form))].join(', ');
      if (INSTANCE_TOKEN.test(written)) throw new Error('the token of an instance stands in log, record or state');
      if (leaks.length > 0) throw new Error(`secrets stand where somebody can read them: ${forms}`);
    },
  };
}

/** As it is, or as an access key id. */
const INSTANCE_TOKEN = /cs_[\w-]{43}|AKIACSGW[A-Z2-7]{20}/;
const MAX_KEPT_TEXT = 200_000;

function metricsOf(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    });
    call.on('error', reject).end();
  });
}

function textsBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .filter((text) => !text.includes('-----BEGIN CERTIFICATE-----'));
}

/** What a shell on a fresh machine has. */
function cleanEnvironment(folder: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    LANG: 'C.UTF-8',
    OPENAI_API_KEY: 'sk-real-key-that-run-must-withhold',
    AWS_REGION: 'us-east-1',
  };
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  // The whole group: what `run` started must not outlive it.
  const timer = setTimeout(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, PROGRAM_DEADLINE_MS);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') });
    });
  });
}

/** The status of CONNECT and that of `url` behind it, as curl saw them; the certificate of the proxy is not looked at. */
export const curlStatuses = (proxy: string, url: string, words: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    const all = ['-sS', '--max-time', '20', '--proxy', proxy, '--proxy-insecure', ...words];
    const format = ['-o', '/dev/null', '-w', '%{http_connect} %{http_code}'];
    execFile('curl', [...all, ...format, url], { env: {} }, (_error, stdout) => resolve(stdout));
  });
