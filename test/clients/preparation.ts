/**
 * Duty: what an ecosystem tells the runner of `npm run test:clients`: which programs it needs, how its clients get into a folder, which suites use them.
 * Holds: `prepare` writes below its folder alone (caches too, but for those that `sharedByGo` has beside it), may be called again on a folder that an earlier run left, and leaves no process behind.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Preparation {
  readonly ecosystem: string;
  /** Programs that must be on PATH; the runner says which are missing and runs none of the suites then. */
  readonly tools: readonly string[];
  /** Installs into `folder`, which exists: `clientsFolder(ecosystem)` in the suites. @throws where it could not. */
  prepare(folder: string): Promise<void>;
  /** Paths from the root of the repository. */
  readonly suites: readonly string[];
}

/** Set by the runner to the folder that has one folder for each ecosystem. */
export const CLIENTS_VARIABLE = 'COUNTERSIGN_CLIENTS';
const INSTALL_DEADLINE_MS = 300_000;
const MAX_SHOWN_OUTPUT = 4_000;

/** `describe.skipIf(isUnprepared)(suiteName('Go'), …)` */
export const isUnprepared = process.env[CLIENTS_VARIABLE] === undefined;

export function suiteName(name: string): string {
  return isUnprepared ? `${name} (skipped: \`npm run test:clients\` prepares and runs it)` : name;
}

/** Where `prepare` of that ecosystem put its clients. @throws without the runner: call it in `beforeAll`, not while tests are collected. */
export function clientsFolder(ecosystem: string): string {
  const folder = process.env[CLIENTS_VARIABLE];
  if (folder === undefined) throw new Error(`${CLIENTS_VARIABLE} is not set: npm run test:clients sets it`);
  return join(folder, ecosystem);
}

/** Runs one step of a preparation. @throws with the end of what it printed, where it fails or does not end. */
export function install(
  command: readonly string[],
  { folder, env = {} }: { readonly folder: string; readonly env?: Readonly<Record<string, string>> },
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [program = '', ...words] = command;
  const child = spawn(program, words, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It ended already.
    }
  };
  running.add(endGroup);
  const timer = setTimeout(endGroup, INSTALL_DEADLINE_MS);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-MAX_SHOWN_OUTPUT);
    });
  return new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${command.join(' ')} ended with ${signal ?? code}\n${text.trimEnd()}`));
    });
  }).finally(() => {
    clearTimeout(timer);
    running.delete(endGroup);
  });
}

const running = new Set<() => void>();

/** For the runner, when it is told to stop. */
export function endInstalls(): void {
  for (const end of running) end();
}

/** Modules and compiled packages are those of all programs of Go, which have many in common; `folder`: of one of them. */
export const sharedByGo = (folder: string): Record<string, string> => ({
  GOPATH: join(folder, '..', 'go-path'),
  GOCACHE: join(folder, '..', 'go-cache'),
});
