/**
 * Duty: `npm run test:clients`: puts real clients of each ecosystem into a folder that is thrown away, and runs the suites that use them.
 * Holds: whatever happens, Ctrl-C included, no process and no file is left behind; what is missing is a failure that is named, never a skip.
 * Fails: exit 64 for a wrong option, 69 where a program or a preparation is missing, 1 where a test failed, 130 when interrupted.
 * Not here: how a client is installed (prepare.ts of each ecosystem), what it must do (the suites).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CLIENTS_VARIABLE, endInstalls, type Preparation } from './preparation.ts';

/** Each has a folder beside this file. */
const ECOSYSTEMS = ['python', 'tools', 's3', 'node', 'go', 'java'] as const;
/** Ecosystem → another whose clients its suites use as well. */
const NEEDS: Readonly<Record<string, string>> = { s3: 'python', tools: 'python' };
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAX_ATTEMPTS = 2;
const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;
const EXIT_INTERRUPTED = 130;

const HELP = `npm run test:clients -- [options]

Installs real clients into a temporary folder, from their registries, and runs them through the proxy.

  --only NAME[,NAME]   Only these ecosystems: ${ECOSYSTEMS.join(', ')}
  --keep FOLDER        Install into this folder and leave it: a second run is quick
  --help               This text
`;

/** What to install where a program is missing. */
const WHERE_FROM: Readonly<Record<string, string>> = {
  python3: 'Python 3.11 or newer with its venv module (Debian: python3-venv)',
  go: 'Go, from go.dev/dl',
  java: 'a JDK of version 17 or newer (Debian: openjdk-17-jdk-headless)',
  javac: 'a JDK of version 17 or newer (Debian: openjdk-17-jdk-headless)',
  mvn: 'Maven (Debian: maven)',
  git: 'git',
  npm: 'npm, which comes with Node',
};

let interrupted = false;
let suites: ChildProcess | undefined;
const tell = (line: string): void => void process.stderr.write(`clients: ${line}\n`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    interrupted = true;
    endInstalls();
    if (suites?.pid !== undefined) endGroup(suites.pid);
  });

process.exitCode = await main();

async function main(): Promise<number> {
  let options: { readonly only: readonly string[]; readonly keep: string | null };
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string' }, keep: { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    const named = values.only?.split(',') ?? [...ECOSYSTEMS];
    const only = [...new Set(named.flatMap((name) => [name, ...(NEEDS[name] === undefined ? [] : [NEEDS[name]])]))];
    options = { only, keep: values.keep ?? null };
    const unknown = options.only.filter((name) => !(ECOSYSTEMS as readonly string[]).includes(name));
    if (unknown.length > 0)
      throw new Error(`no such ecosystem: ${unknown.join(', ')}; there are ${ECOSYSTEMS.join(', ')}`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    return EXIT_USAGE;
  }
  // Whatever the suites start has this in its environment or its command line, and so can be found at the end.
  const scratch = mkdtempSync(join(tmpdir(), 'countersign-clients-'));
  try {
    return await runIn(scratch, options);
  } finally {
    endProcessesOf(scratch);
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function runIn(
  scratch: string,
  { only, keep }: { readonly only: readonly string[]; readonly keep: string | null },
): Promise<number> {
  const folder = keep === null ? join(scratch, 'clients') : resolve(keep);
  const preparations = await Promise.all(only.filter(isWritten).map(loadPreparation));
  const outcomes = await Promise.all(preparations.map((preparation) => prepared(preparation, folder)));
  if (interrupted) return EXIT_INTERRUPTED;
  const ready = preparations.filter((_, i) => outcomes[i] === true);
  const files = ready.flatMap(({ suites }) => suites);
  const failed = files.length > 0 && (await runSuites(files, folder, scratch)) !== 0;
  if (interrupted) return EXIT_INTERRUPTED;
  if (failed) return EXIT_FAILED;
  return ready.length === preparations.length ? 0 : EXIT_UNAVAILABLE;
}

function isWritten(ecosystem: string): boolean {
  return existsSync(new URL(`./${ecosystem}/prepare.ts`, import.meta.url));
}

async function loadPreparation(ecosystem: string): Promise<Preparation> {
  const { PREPARATION } = (await import(`./${ecosystem}/prepare.ts`)) as { PREPARATION: Preparation };
  return PREPARATION;
}

async function prepared({ ecosystem, tools, prepare }: Preparation, root: string): Promise<boolean> {
  const missing = tools.filter((tool) => !isOnPath(tool));
  for (const tool of missing) tell(`${ecosystem}: ${tool} is missing: install ${WHERE_FROM[tool] ?? tool}`);
  if (missing.length > 0) return false;
  const folder = join(root, ecosystem);
  mkdirSync(folder, { recursive: true });
  const start = performance.now();
  tell(`${ecosystem}: installing`);
  for (let attempt = 1; !(await hasPrepared(ecosystem, prepare, folder)); attempt++) {
    if (interrupted || attempt === MAX_ATTEMPTS) return false;
    tell(`${ecosystem}: installing once more`);
  }
  tell(`${ecosystem}: ready after ${((performance.now() - start) / 1_000).toFixed(0)} s`);
  return true;
}

/** A registry may be away for a moment; what is there already is not fetched again. */
async function hasPrepared(ecosystem: string, prepare: Preparation['prepare'], folder: string): Promise<boolean> {
  try {
    await prepare(folder);
    return true;
  } catch (error) {
    if (!interrupted) tell(`${ecosystem}: the preparation failed: ${(error as Error).message}`);
    return false;
  }
}

function isOnPath(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function runSuites(files: readonly string[], folder: string, scratch: string): Promise<number> {
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const temporary = join(scratch, 't');
  mkdirSync(temporary);
  const child = spawn(process.execPath, [vitest, 'run', '--config', 'test/vitest.config.ts', ...files], {
    cwd: ROOT,
    env: { ...process.env, [CLIENTS_VARIABLE]: folder, TMPDIR: temporary },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  suites = child;
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => done(code ?? EXIT_FAILED));
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended already.
  }
}

/** Programs of the suites lead groups of their own, so that an interrupted run would leave them. */
function endProcessesOf(scratch: string): void {
  if (!existsSync('/proc/self/environ')) return;
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const words = `${readFileSync(`/proc/${pid}/environ`, 'latin1')}${readFileSync(`/proc/${pid}/cmdline`, 'latin1')}`;
      if (words.includes(scratch)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended, or is another user's.
    }
  }
}
