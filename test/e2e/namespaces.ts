/**
 * Duty: network namespaces for a test: the agent's, and a "wild internet" behind a cable, which is a namespace too.
 * Holds: names and addresses of its own; `close` takes all away, processes first.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';

export const AGENT = { v4: '10.213.0.1', v6: 'fd00:213::1' };
/** Addresses of the wild internet. */
export const INTERNET = ['203.0.113.9', '2001:db8::9', '203.0.113.99'] as const;
export const WILD = { v4: '10.213.0.2', v6: 'fd00:213::2' };

/** Why there can be none here, or not what a test needs in them; null: there can. */
export function whyNoNamespaces(...programs: readonly string[]): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'they take root on Linux';
  if (spawnSync('ip', ['-V']).status !== 0) return 'there is no ip; install iproute2';
  for (const program of ['python3', ...programs])
    if (spawnSync(program, ['--version']).error !== undefined) return `there is no ${program}`;
  const probe = `cs-probe-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return 'the kernel lets nobody make one';
  spawnSync('ip', ['netns', 'del', probe]);
  return null;
}

export class Namespaces {
  readonly agent = `cs-agent-${process.pid}`;
  readonly wild = `cs-wild-${process.pid}`;
  readonly #running = new Set<ChildProcess>();

  static open(): Namespaces {
    const made = new Namespaces();
    const ip = (...words: string[]): void => void execFileSync('ip', words);
    for (const name of [made.agent, made.wild]) ip('netns', 'add', name);
    ip('-n', made.agent, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', made.wild);
    for (const [name, at] of [
      [made.agent, AGENT],
      [made.wild, WILD],
    ] as const) {
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'addr', 'add', `${at.v4}/24`, 'dev', 'cable');
      ip('-n', name, '-6', 'addr', 'add', `${at.v6}/64`, 'dev', 'cable', 'nodad');
      ip('-n', name, 'link', 'set', 'cable', 'up');
    }
    ip('-n', made.agent, 'route', 'add', 'default', 'via', WILD.v4);
    ip('-n', made.agent, '-6', 'route', 'add', 'default', 'via', WILD.v6);
    // All of the internet is that one host.
    for (const address of INTERNET)
      ip('-n', made.wild, 'addr', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : []));
    return made;
  }

  /** Runs to its end. */
  run(
    namespace: string,
    command: readonly string[],
    { uid, input = '' }: { readonly uid?: number; readonly input?: string } = {},
  ): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
    const { status, stdout, stderr } = spawnSync('ip', this.#inside(namespace, command, uid), {
      ...{ input, encoding: 'utf8', timeout: 30_000 },
    });
    return { code: status, stdout, stderr };
  }

  /** Goes on until `close`. Resolves when it has printed `sign`. */
  async start(
    namespace: string,
    command: readonly string[],
    {
      uid,
      env,
      sign = 'ready',
    }: { readonly uid?: number; readonly env?: Record<string, string>; readonly sign?: string } = {},
  ): Promise<Background> {
    const child = spawn('ip', this.#inside(namespace, command, uid), {
      ...{ stdio: ['pipe', 'pipe', 'pipe'], detached: true },
      ...(env === undefined ? {} : { env }),
    });
    this.#running.add(child);
    const background: Background = { text: '', child };
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (bytes: Buffer) => {
          background.text += bytes.toString('utf8');
          if (background.text.includes(sign)) resolve();
        });
      child.once('exit', () => reject(new Error(`ended: ${background.text}`)));
    });
    await ready;
    return background;
  }

  async close(): Promise<void> {
    for (const child of this.#running) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      process.kill(-child.pid, 'SIGKILL');
      await gone;
    }
    for (const name of [this.agent, this.wild]) spawnSync('ip', ['netns', 'del', name]);
  }

  #inside(namespace: string, command: readonly string[], uid?: number): string[] {
    const user = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    return ['netns', 'exec', namespace, ...user, ...command];
  }
}

export interface Background {
  text: string;
  readonly child: ChildProcess;
}
