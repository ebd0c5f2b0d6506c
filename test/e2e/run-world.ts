/** Duty: `countersign run` around a program that calls one upstream, with one credential source, as real processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FakeProvider } from '../fakes/fake-provider.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));

/** Calls once, tells the status, and stays. */
export const CALLS_ONCE = `fetch('https://api.example.com/v1').then(async (r) => { await r.text(); console.log('called', r.status); setInterval(() => {}, 1000); })`;
export const IDLE = 'setInterval(() => {}, 1000)';

export class RunWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-run-'));
  /** `api.example.com`, which gets the credential as bearer. */
  readonly upstream: FakeProvider;
  output = '';
  readonly #running = new Set<ChildProcess>();

  static async open(): Promise<RunWorld> {
    return new RunWorld(await FakeProvider.open({ certificateName: 'api.example.com' }));
  }

  private constructor(upstream: FakeProvider) {
    this.upstream = upstream;
    upstream.answer = () => ({ body: '{}' });
    this.put('upstream.pem', upstream.rootPem ?? '');
  }

  put(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: 0o400 });
  }

  /** `source`: the spec of the CredentialSource, in one line; `proxy`: that of the network, in one line. */
  start(source: string, program: string, proxy?: string): ChildProcess {
    const text = policyText(new URL(this.upstream.baseUrl).port, source);
    const behind = proxy === undefined ? text : text.replace('  upstream:\n', `  upstream:\n    proxy: ${proxy}\n`);
    writeFileSync(join(this.folder, 'policy.yaml'), behind);
    const child = spawn(
      process.execPath,
      [LAUNCHER, 'run', '--config', join(this.folder, 'policy.yaml'), '-w', 'w', '--', process.execPath, '-e', program],
      {
        // A group of its own, which ends as one.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: this.folder,
          COUNTERSIGN_STATE_DIR: join(this.folder, 'state'),
        },
      },
    );
    this.#running.add(child);
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.output += text;
      });
    return child;
  }

  async end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    killGroup(child, signal);
    await exited;
  }

  async close(): Promise<void> {
    for (const child of this.#running) killGroup(child, 'SIGKILL');
    await this.upstream.close();
    rmSync(this.folder, { recursive: true, maxRetries: 5 });
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

const policyText = (port: string, source: string): string => `apiVersion: countersign.dev/v1alpha1
kind: Proxy
spec:
  listeners: { explicit: { port: 0 } }
  issuer: { listen: { port: 0 } }
  upstream:
    extraRoots: [./upstream.pem]
    resolve: [{ host: api.example.com, address: 127.0.0.1, dialPort: ${port} }]
${boundService(source)}`;

/** `api.example.com` for the workload `w`, with the credential of a source as bearer. `source`: its spec, in one line. */
export const boundService = (source: string): string => `---
apiVersion: countersign.dev/v1alpha1
kind: Service
metadata: { name: s }
spec: { addresses: [{ address: api.example.com }] }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: w }
spec: { workloadID: w }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: key }
spec: ${source}
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: b }
spec: { workloadID: w, credentialSource: key, services: [s], propagation: { injection: { bearer: {} } } }
`;
