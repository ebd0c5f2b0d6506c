/**
 * Duty: a proxy and jailed commands of an ordinary user, as real processes; an upstream that remembers what it was sent.
 * Holds: where the tests run as root they take a user who is nobody else; where that one may not read this folder it is shown
 *   to it at another path, in a mount namespace. All of it is gone afterwards.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FakeProvider } from '../fakes/fake-provider.ts';
import { until } from './worker-world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const HOST = 'api.example.com';
export const KEY = 'canary-of-the-jail';

const isRoot = process.getuid?.() === 0;
/** Nobody's but for these tests. */
const UID = 61_004;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Of `run`, before `--`. */
  readonly options?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  readonly isWithoutJail?: boolean;
}

export class JailWorld {
  readonly folder: string;
  readonly home: string;
  readonly uid = isRoot ? UID : (process.getuid?.() ?? 0);
  readonly upstream: FakeProvider;
  readonly node: string;
  readonly launcher: string;
  /** Why there can be no jail here; null where there can. */
  unable: string | null = null;
  proxyOutput = '';
  readonly #prefix: readonly string[];
  readonly #running = new Set<ChildProcess>();

  static async open(): Promise<JailWorld> {
    const world = new JailWorld(await FakeProvider.open({ certificateName: HOST }));
    world.unable = world.#whyNot();
    if (world.unable === null) await world.#startProxy();
    return world;
  }

  private constructor(upstream: FakeProvider) {
    this.upstream = upstream;
    upstream.answer = () => ({ body: '{"hello":"from upstream"}' });
    this.folder = mkdtempSync(join(tmpdir(), 'countersign-jail-'));
    chmodSync(this.folder, 0o755);
    this.home = join(this.folder, 'home');
    mkdirSync(this.home);
    this.own(this.home);
    const user = isRoot ? ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--'] : [];
    const isReadable =
      spawnSync('sh', ['-c', '"$@"', 'sh', ...user, 'test', '-r', join(ROOT, 'package.json')]).status === 0;
    const view = isReadable ? ROOT : join(this.folder, 'view');
    if (!isReadable) mkdirSync(view);
    const bind = [
      'unshare',
      '--mount',
      '--',
      'sh',
      '-c',
      'mount --bind "$1" "$2" && shift 2 && exec "$@"',
      'sh',
      ROOT,
      view,
    ];
    this.#prefix = isReadable ? user : [...bind, ...user];
    this.node = process.execPath.startsWith(`${ROOT}/`) ? process.execPath.replace(ROOT, view) : process.execPath;
    this.launcher = join(view, 'src', 'launch.js');
  }

  /** Gives a file or folder to the user. */
  own(path: string): void {
    if (isRoot) chownSync(path, UID, UID);
  }

  put(name: string, text: string): string {
    const path = join(this.home, name);
    const missing: string[] = [];
    for (let at = dirname(path); at.startsWith(`${this.home}/`); at = dirname(at)) missing.unshift(at);
    for (const folder of missing) {
      mkdirSync(folder, { recursive: true });
      this.own(folder);
    }
    writeFileSync(path, text);
    this.own(path);
    return path;
  }

  get path(): string {
    return `${dirname(this.node)}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/go/bin`;
  }

  /** As the user, outside of any jail. */
  outside(words: readonly string[], more: Readonly<Record<string, string>> = {}): ChildProcess {
    const [program = '', ...args] = [...this.#prefix, ...words];
    const child = spawn(program, args, {
      cwd: this.home,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: this.path,
        HOME: this.home,
        LC_ALL: 'C.UTF-8',
        COUNTERSIGN_STATE_DIR: join(this.home, 'state'),
        ...more,
      },
    });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }

  words(command: readonly string[], { options = [], isWithoutJail = false }: RunOptions = {}): string[] {
    // Where the repository is below /tmp, its Node would not be there.
    const shown = command.includes(this.node) ? ['--jail-show', dirname(this.node)] : [];
    const jail = isWithoutJail ? [] : ['--jail', ...shown];
    return [
      ...[this.node, this.launcher, 'run', '--config', join(this.home, 'policy.yaml'), '-w', 'w', '-q'],
      ...[...jail, ...options, '--', ...command],
    ];
  }

  start(command: readonly string[], run: RunOptions = {}): ChildProcess {
    const words = this.words(command, run);
    const inFolder = ['env', `--chdir=${run.workingDirectory ?? this.home}`, '--', ...words];
    return this.outside(inFolder, run.environment);
  }

  run(command: readonly string[], run: RunOptions = {}): Promise<Ended> {
    return endOf(this.start(command, run));
  }

  sh(script: string, run: RunOptions = {}): Promise<Ended> {
    return this.run(['sh', '-c', script], run);
  }

  audit(): string {
    return readFileSync(join(this.home, 'state', 'audit.jsonl'), 'utf8');
  }

  async close(): Promise<void> {
    const ended = [...this.#running].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#running) child.kill('SIGKILL');
    await Promise.all(ended);
    await this.upstream.close();
    rmSync(this.folder, { recursive: true, maxRetries: 5 });
  }

  #whyNot(): string | null {
    const trial = [
      'unshare',
      '--user',
      '--map-root-user',
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--',
      'mount',
      '-t',
      'proc',
    ];
    const [program = '', ...args] = [...this.#prefix, ...trial, 'proc', '/proc'];
    const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
    return status === 0 ? null : `no user namespaces: ${error?.message ?? stderr.trim()}`;
  }

  async #startProxy(): Promise<void> {
    this.put('upstream.pem', this.upstream.rootPem ?? '');
    this.put('key', KEY);
    chmodSync(join(this.home, 'key'), 0o400);
    this.put('policy.yaml', policyText(new URL(this.upstream.baseUrl).port));
    const proxy = this.outside([this.node, this.launcher, 'start', '--config', join(this.home, 'policy.yaml')]);
    for (const stream of [proxy.stdout, proxy.stderr])
      stream?.on('data', (text: Buffer) => {
        this.proxyOutput += text;
      });
    await until(
      () => this.proxyOutput.includes('audit.jsonl\n'),
      () => this.proxyOutput,
    );
  }
}

export async function endOf(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (text: Buffer) => {
    stdout += text;
  });
  child.stderr?.on('data', (text: Buffer) => {
    stderr += text;
  });
  child.stdin?.end();
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  return { status: code, stdout, stderr: signal === null ? stderr : `${stderr}ended by ${signal}` };
}

const policyText = (port: string): string => `apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec:
  listeners: { explicit: { port: 0 } }
  issuer: { listen: { port: 0 } }
  upstream:
    extraRoots: [./upstream.pem]
    resolve:
      - { host: ${HOST}, address: 127.0.0.1, dialPort: ${port} }
      - { host: ${HOST}, port: 8443, address: 127.0.0.1, dialPort: ${port} }
---
apiVersion: countersign.dev/v1alpha1
kind: Service
metadata: { name: s }
spec: { addresses: [{ address: ${HOST} }, { address: ${HOST}, port: 8443 }] }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: w }
spec: { workloadID: w }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: key }
spec: { file: { path: ./key } }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: b }
spec: { workloadID: w, credentialSource: key, services: [s], propagation: { injection: { bearer: {} } } }
`;
