/** Duty: `countersign env`: what `run` sets, printed for a shell. */
import { withheldVariables } from './agent-environment.ts';
import { type Command, durationOption, EXIT, type Given, type Terminal, UsageError } from './command.ts';
import { GATEWAY_OPTION, type HeldInstance, holdInstance, variablesFor, WORKLOAD_OPTIONS } from './held-instance.ts';
import { missingRoots } from './own-roots.ts';

/** A shell is used for a day's work, and nobody extends what it holds. */
const DEFAULT_TTL = '8h';

export const env: Command = {
  name: 'env',
  usage: '[options]',
  summary: 'Print the variables that make a shell a workload of the running proxy',
  options: [
    ...WORKLOAD_OPTIONS,
    { name: 'ttl', value: 'DURATION', help: `Life of the instance, e.g. 30m (default: ${DEFAULT_TTL})` },
    GATEWAY_OPTION,
    { name: 'shell', value: 'NAME', help: 'sh (default), fish' },
    { name: 'json', help: 'Print a JSON object instead' },
  ],
  notes: [
    'Typical use: eval "$(countersign env --workload ai-agent)"',
    'For programs that cannot use a proxy: eval "$(countersign env --gateway)"',
    'The instance ends after --ttl, or with the proxy; countersign instance revoke ends it earlier.',
  ],
  run: async (terminal, given) => {
    const shell = given.value('shell') ?? 'sh';
    if (shell !== 'sh' && shell !== 'fish')
      throw new UsageError(`--shell takes sh or fish, not ${JSON.stringify(shell)}`);
    const ttl = durationOption(given, 'ttl') ?? DEFAULT_TTL;
    const held = await holdInstance(terminal, given, { ttl, mayStart: false, name: 'countersign env' });
    const variables = await variablesOf(terminal, given, held);
    const missing = missingRoots(terminal, variables['SSL_CERT_FILE'] ?? null).length;
    if (missing > 0)
      terminal.complain(
        `countersign: ${missing} of your own roots ${missing === 1 ? 'is' : 'are'} not in the bundle of the proxy; start it with the variables that name them, or use countersign run\n`,
      );
    const taken = withheldVariables(terminal.environment, [], variables).filter((name) => !(name in variables));
    if (given.flag('json')) terminal.write(`${JSON.stringify({ set: variables, unset: taken }, null, 2)}\n`);
    else terminal.write(shell === 'fish' ? fishText(variables, taken) : shText(variables, taken));
    return EXIT.ok;
  },
};

/** An instance that nobody is told of does not stay. @throws CommandError */
async function variablesOf(terminal: Terminal, given: Given, held: HeldInstance): Promise<Record<string, string>> {
  try {
    return variablesFor(held.answer, given, terminal.environment);
  } catch (thrown) {
    await held.end();
    throw thrown;
  }
}

/** POSIX single quotes: nothing inside them is special but the quote itself. */
const quoteSh = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;
const quoteFish = (value: string): string => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function shText(variables: Record<string, string>, taken: readonly string[]): string {
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quoteSh(value)}`);
  return `${[...lines, ...taken.map((name) => `unset ${name}`)].join('\n')}\n`;
}

function fishText(variables: Record<string, string>, taken: readonly string[]): string {
  const lines = Object.entries(variables).map(([name, value]) => `set -gx ${name} ${quoteFish(value)};`);
  return `${[...lines, ...taken.map((name) => `set -e ${name};`)].join('\n')}\n`;
}
