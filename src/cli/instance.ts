/**
 * Duty: an instance of a workload for `run` and `env`: from the proxy that runs, or from one started for this command.
 */
import type { InstanceAnswer, RunningProxy } from '../app.ts';
import { CommandError, EXIT, type Given, type Option, type Terminal } from './command.ts';
import { CONFIG_OPTIONS, configPaths, defaultStateDirectory } from './settings.ts';
import { userRootFiles } from './start.ts';
import { workerProgram } from './worker.ts';

export const INSTANCE_OPTIONS: readonly Option[] = [
  ...CONFIG_OPTIONS,
  { name: 'workload', short: 'w', value: 'NAME', help: 'Workload to be (default: the only one that the policy knows)' },
  { name: 'ttl', value: 'DURATION', help: 'Life of the instance, e.g. 30m (default: 8h)' },
  { name: 'socket', value: 'PATH', help: 'Admin socket of the running proxy' },
];

export interface HeldInstance {
  readonly answer: InstanceAnswer;
  /** Ends the instance, and the proxy where it was started for this. */
  end(): Promise<void>;
}

const DEFAULT_LIFETIME_MS = 8 * 3_600_000;

/** @throws CommandError where no proxy runs and none may be started. */
export async function holdInstance(
  terminal: Terminal,
  given: Given,
  options: { readonly lifetimeMs: number | null; readonly mayStart: boolean },
): Promise<HeldInstance> {
  const workload = given.value('workload') ?? '';
  const lifetimeMs = options.lifetimeMs ?? DEFAULT_LIFETIME_MS;
  const socket = await socketPath(terminal, given);
  const { AdminUnreachable, callAdmin } = await import('../app.ts');
  try {
    const answer = (await callAdmin(socket, 'POST', '/v1/instances', { workload, lifetimeMs })) as InstanceAnswer;
    return {
      answer,
      end: async () => void (await callAdmin(socket, 'DELETE', `/v1/instances/${answer.id}`).catch(() => null)),
    };
  } catch (error) {
    if (!(error instanceof AdminUnreachable)) {
      const isOurs = (error as { code?: unknown }).code === 'configuration_invalid';
      const exitCode = isOurs ? EXIT.configuration : EXIT.unavailable;
      throw new CommandError(exitCode, error instanceof Error ? error.message : 'the proxy refused');
    }
    const paths = options.mayStart ? configPaths(terminal, given) : null;
    if (paths === null)
      throw new CommandError(
        EXIT.unavailable,
        `${error.message}; start one (countersign start --config FILE)${options.mayStart ? ', or give --config FILE or --sandbox to start one just for this command' : ''}`,
      );
    return startForThis(terminal, paths, workload, lifetimeMs);
  }
}

async function socketPath(terminal: Terminal, given: Given): Promise<string> {
  const named = given.value('socket');
  if (named !== null) return named;
  const paths = configPaths(terminal, given);
  const { loadSettings } = await import('../app.ts');
  const settings = await loadSettings({ configPaths: paths, stateDirectory: defaultStateDirectory(terminal) });
  return settings.adminSocket;
}

async function startForThis(
  terminal: Terminal,
  paths: readonly string[],
  workload: string,
  lifetimeMs: number,
): Promise<HeldInstance> {
  const { startProxy } = await import('../app.ts');
  const proxy: RunningProxy = await startProxy({
    configPaths: paths,
    stateDirectory: defaultStateDirectory(terminal),
    ownUid: terminal.uid,
    workerProgram: workerProgram(terminal),
    userRootFiles: userRootFiles(terminal),
    // The command owns the terminal; only what went wrong is worth a line there.
    log: () => {},
  });
  try {
    return { answer: await proxy.createInstance(workload, lifetimeMs), end: async () => void (await proxy.close()) };
  } catch (error) {
    await proxy.close();
    throw error;
  }
}
