/** Duty: `countersign run`: a command as a workload, with placeholders in place of credentials. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { agentEnvironment, withheldVariables } from './agent-environment.ts';
import { type Command, CommandError, durationOption, EXIT, type Terminal, UsageError } from './command.ts';
import { GATEWAY_OPTION, holdInstance, keepAlive, variablesFor, WORKLOAD_OPTIONS } from './held-instance.ts';
import { JAIL_NOTES, JAIL_OPTIONS, jailWish, runJailed } from './jailed.ts';
import { joinRoots } from './own-roots.ts';

export const run: Command = {
  name: 'run',
  takesWords: true,
  usage: '[options] -- COMMAND [ARGUMENT…]',
  summary: 'Run a command as a workload: it calls APIs through the proxy and holds placeholders only',
  options: [
    ...WORKLOAD_OPTIONS,
    {
      name: 'ttl',
      value: 'DURATION',
      help: 'End the command’s access after this time, e.g. 30m (default: it lasts as long as the command, at most instances.maxTtl of the policy)',
    },
    GATEWAY_OPTION,
    {
      name: 'keep',
      value: 'VARIABLE',
      multiple: true,
      help: 'Let the command inherit this variable although its name says secret',
    },
    ...JAIL_OPTIONS,
    { name: 'quiet', short: 'q', help: 'Say nothing on standard error' },
  ],
  notes: [
    'Uses the proxy that runs; with --config or --sandbox and none running, one is started for the life of the command.',
    'Variables whose names say that they hold a secret (…_API_KEY, …_TOKEN, AWS_PROFILE, …) are withheld from the command. Files are not: use --jail, another user or a container for commands that you do not trust.',
    ...JAIL_NOTES,
    'The exit code is the command’s own; 128 + n where signal n ended it.',
  ],
  run: async (terminal, given) => {
    const words = given.rest.length > 0 ? given.rest : given.positionals;
    const [command, ...args] = words;
    if (command === undefined) throw new UsageError('run what? countersign run -- python agent.py');
    const ttl = durationOption(given, 'ttl');
    const wish = jailWish(terminal, given);
    const held = await holdInstance(terminal, given, { ttl, mayStart: true, name: 'countersign run' });
    // A given time is a limit. Without one the instance outlives a killed `run` by no more than its short default.
    const letGo = ttl === null ? keepAlive(held, (words) => terminal.complain(`countersign: ${words}\n`)) : () => {};
    const roots = joinRoots(terminal, held.answer.bundleFile);
    try {
      const kept = given.values('keep');
      const answer = { ...held.answer, bundleFile: roots.file };
      const variables = variablesFor(answer, given, terminal.environment);
      const withheld = withheldVariables(terminal.environment, kept, variables);
      if (!given.flag('quiet')) announce(terminal, answer.spiffeId, withheld);
      const jailed =
        wish === null ? null : await runJailed(terminal, { wish, held, rootsFile: roots.file, kept, command, args });
      if (jailed !== null) return jailed;
      return await runChild(terminal, command, args, agentEnvironment(terminal.environment, variables, kept));
    } finally {
      letGo();
      roots.remove();
      await held.end();
    }
  },
};

function announce(terminal: Terminal, spiffeId: string, withheld: readonly string[]): void {
  terminal.complain(`countersign: running as ${spiffeId}\n`);
  if (withheld.length > 0) terminal.complain(`countersign: withheld from the command: ${withheld.join(' ')}\n`);
}

function runChild(
  terminal: Terminal,
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = terminal.withUserMask(() => spawn(command, args, { stdio: 'inherit', env }));
    // The terminal sends Ctrl-C to the whole group; a signal to us alone is handed on. Either way the child decides.
    const stop = terminal.onSignal(async (signal) => {
      const { isInForeground } = await import('../jail/command-process.ts');
      if (signal !== 'SIGINT' || !isInForeground()) child.kill(signal);
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      stop();
      const why =
        error.code === 'ENOENT' ? 'no such command' : error.code === 'EACCES' ? 'it is not executable' : error.message;
      reject(new CommandError(error.code === 'ENOENT' ? 127 : 126, `cannot run ${command}: ${why}`));
    });
    child.once('exit', (code, signal) => {
      stop();
      resolve(signal === null ? (code ?? EXIT.internal) : 128 + constants.signals[signal]);
    });
  });
}
