/**
 * Duty: an instance of a workload for `run` and `env`: from the proxy that runs, or from one started for this command.
 * Holds: it can be kept alive as long as the command runs, and ends with it.
 */
import type { InstanceAnswer, RunningProxy } from '../app.ts';
import type { Client } from '../client/client.ts';
import { agentVariables, gatewayVariables } from './agent-environment.ts';
import { CommandError, EXIT, type Given, type Option, type Terminal } from './command.ts';
import { ownRootFiles } from './own-roots.ts';
import { adminSocket, CONFIG_OPTIONS, configPaths, defaultStateDirectory, SOCKET_OPTION } from './settings.ts';
import { workerProgram } from './worker.ts';

export const WORKLOAD_OPTIONS: readonly Option[] = [
  ...CONFIG_OPTIONS,
  { name: 'workload', short: 'w', value: 'NAME', help: 'Workload to be (default: the only one that the policy knows)' },
  SOCKET_OPTION,
];

export const GATEWAY_OPTION: Option = {
  name: 'gateway',
  help: 'Set base URLs and keys for the gateway in place of a proxy and its CA',
};

/** The variables of that way. @throws CommandError where the proxy has no gateway. */
export function variablesFor(
  answer: InstanceAnswer,
  given: Given,
  environment: Terminal['environment'],
): Record<string, string> {
  if (!given.flag('gateway')) return agentVariables(answer, environment);
  const { gateway } = answer;
  if (gateway === null)
    throw new CommandError(
      EXIT.configuration,
      'the proxy has no gateway; write listeners: { gateway: {} } into its Proxy document and start it again',
    );
  return gatewayVariables({ ...answer, gateway }, environment);
}

export interface HeldInstance {
  readonly answer: InstanceAnswer;
  /** `ms` that it lives on from the moment of the answer; null where it has ended. */
  extend(): Promise<number | null>;
  /** What no command may see that is held by it. */
  ownPaths(): Promise<readonly string[]>;
  /** Ends the instance, and the proxy where it was started for this. */
  end(): Promise<void>;
}

export interface HoldOptions {
  /** Duration with its unit; null: as the proxy says. */
  readonly ttl: string | null;
  readonly mayStart: boolean;
  /** For the proxy's record. */
  readonly name: string;
}

/** @throws CommandError where no proxy runs and none may be started. */
export async function holdInstance(terminal: Terminal, given: Given, options: HoldOptions): Promise<HeldInstance> {
  const workload = given.value('workload') ?? '';
  const { createClient, AdminUnreachable } = await import('../client/client.ts');
  const client = createClient({ socketPath: await adminSocket(terminal, given), name: options.name });
  try {
    return await held(client, workload, options.ttl);
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
    return startForThis(terminal, paths, workload, options.ttl);
  }
}

async function held(client: Client, workload: string, ttl: string | null): Promise<HeldInstance> {
  const answer = await client.create({ workload, ...(ttl === null ? {} : { ttl }) });
  return {
    answer,
    extend: async () => (await client.extend(answer.id, { ttl: `${answer.remainingMs}ms` })).remainingMs,
    ownPaths: async () => (await client.status()).ownPaths,
    end: async () => void (await client.revoke(answer.id).catch(() => null)),
  };
}

async function startForThis(
  terminal: Terminal,
  paths: readonly string[],
  workload: string,
  ttl: string | null,
): Promise<HeldInstance> {
  const { startProxy } = await import('../app.ts');
  const { parseDuration } = await import('../core/duration.ts');
  const proxy: RunningProxy = await startProxy({
    configPaths: paths,
    stateDirectory: defaultStateDirectory(terminal),
    ownUid: terminal.uid,
    takeVariable: terminal.takeVariable,
    workerProgram: workerProgram(terminal),
    userRootFiles: ownRootFiles(terminal),
    // The command owns the terminal; only what went wrong is worth a line there.
    log: () => {},
  });
  try {
    const answer = await proxy.createInstance({ workload, ttlMs: ttl === null ? null : parseDuration(ttl) });
    return {
      answer,
      extend: async () => (await proxy.extendInstance(answer.id, answer.remainingMs))?.remainingMs ?? null,
      ownPaths: async () => proxy.status().ownPaths,
      end: async () => void (await proxy.close()),
    };
  } catch (error) {
    await proxy.close();
    throw error;
  }
}

/** A proxy that does not answer may be there again soon. */
const RETRY_MS = 5_000;
/** Less of what was asked for: the longest life is nearly over. */
const NEARLY_ALL = 0.9;

const wordsOf = (error: unknown): string =>
  (error as { detail?: string }).detail ?? (error instanceof Error ? error.message : '');

/** Extends it at half of its time until the returned function is called; tells once where that cannot go on. */
export function keepAlive({ answer, extend }: HeldInstance, tell: (words: string) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const later = (delayMs: number): void => {
    timer = setTimeout(() => void renew(), delayMs).unref();
  };
  const renew = async (): Promise<void> => {
    let remainingMs: number | null = null;
    try {
      remainingMs = await extend();
    } catch (error) {
      const { code } = error as { code?: unknown };
      // A reload may have shortened what is allowed.
      if (code === 'request_malformed') return tell(`the instance of this command is not extended: ${wordsOf(error)}`);
      if (code !== 'instance_unknown') return later(RETRY_MS);
    }
    if (remainingMs === null) tell('the instance of this command has ended, and its requests are refused');
    else if (remainingMs >= NEARLY_ALL * answer.remainingMs) later(remainingMs / 2);
    else
      tell(
        `the instance of this command ends in ${Math.ceil(remainingMs / 1_000)} s; raise instances.maxTtl in the policy`,
      );
  };
  later(answer.remainingMs / 2);
  return () => clearTimeout(timer);
}
