/**
 * Duty: finds the command, reads its options, runs it, and turns what it throws into a sentence and an exit code.
 * Holds: what only a running command needs is loaded by its `run`, so that help and usage errors answer at once.
 * Not here: what the commands do (one file each).
 */
import { parseArgs } from 'node:util';
import { ca } from './ca.ts';
import { check } from './check.ts';
import { type Command, CommandError, EXIT, type Given, type Signal, type Terminal, UsageError } from './command.ts';
import { completion } from './completion.ts';
import { doctor } from './doctor.ts';
import { env } from './env.ts';
import { explain } from './explain.ts';
import { commandHelp, overview } from './help.ts';
import { instance } from './instance.ts';
import { issuer } from './issuer.ts';
import { leases } from './leases.ts';
import { presets } from './presets.ts';
import { rotate } from './rotate.ts';
import { run } from './run.ts';
import { sidecarInit } from './sidecar-init.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { VERSION } from './version.ts';
import { isWorker, runWorker } from './worker.ts';

export type { Signal, Terminal };

export const COMMANDS: readonly Command[] = [
  start,
  run,
  env,
  instance,
  rotate,
  check,
  explain,
  presets,
  status,
  leases,
  doctor,
  sidecarInit,
  ca,
  issuer,
];

/** Have no help of their own. */
const OTHERS: readonly string[] = ['completion', 'version', 'help'];

const unknownCommand = (name: string): UsageError =>
  new UsageError(`there is no command ${JSON.stringify(name)}; countersign help lists them`);

/** Returns the exit code; never throws. */
export async function runCommand(terminal: Terminal): Promise<number> {
  const [name, ...words] = terminal.arguments;
  try {
    return await dispatch(terminal, name, words);
  } catch (thrown) {
    return complain(terminal, name, thrown);
  }
}

async function dispatch(terminal: Terminal, name: string | undefined, words: readonly string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const topic = COMMANDS.find((command) => command.name === words[0]);
    if (topic === undefined && words[0] !== undefined && !OTHERS.includes(words[0])) throw unknownCommand(words[0]);
    terminal.write(topic === undefined ? overview(COMMANDS) : commandHelp(topic));
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === 'version' || name === '--version' || name === '-V') {
    terminal.write(`countersign ${VERSION} (node ${terminal.nodeVersion})\n`);
    return EXIT.ok;
  }
  if (isWorker(terminal)) return runWorker(terminal);
  if (name === 'completion') return completion(terminal, words, COMMANDS);
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) throw unknownCommand(name);
  const given = read(command, words);
  if (given.flag('help')) {
    terminal.write(commandHelp(command));
    return EXIT.ok;
  }
  return command.run(terminal, given);
}

/** @throws UsageError */
function read(command: Command, words: readonly string[]): Given {
  const options = Object.fromEntries([
    ['help', { type: 'boolean' as const, short: 'h' }],
    ...command.options.map((option) => [
      option.name,
      {
        type: option.value === undefined && option.mayBe === undefined ? ('boolean' as const) : ('string' as const),
        ...(option.short === undefined ? {} : { short: option.short }),
        ...(option.multiple === true ? { multiple: true } : {}),
      },
    ]),
  ]) as Record<string, { type: 'boolean' | 'string'; short?: string; multiple?: boolean }>;
  const cut = words.indexOf('--');
  const alone = new Set(command.options.flatMap(({ name, mayBe }) => (mayBe === undefined ? [] : [`--${name}`])));
  const args = (cut === -1 ? words : words.slice(0, cut)).map((word) => (alone.has(word) ? `${word}=` : word));
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    const [word] = command.takesWords === true || values['help'] === true ? [] : positionals;
    for (const { name, mayBe } of command.options)
      if (mayBe !== undefined && ![undefined, '', mayBe].includes(values[name] as string | undefined))
        throw new UsageError(`--${name} takes nothing or ${mayBe}: --${name}=${mayBe}`);
    if (word !== undefined) throw new UsageError(`what is ${JSON.stringify(word)}? a policy goes behind --config`);
    return {
      flag: (name) => values[name] === true,
      value: (name) => (typeof values[name] === 'string' ? values[name] : null),
      values: (name) => (Array.isArray(values[name]) ? values[name].map(String) : []),
      positionals,
      rest: cut === -1 ? [] : words.slice(cut + 1),
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const what = error instanceof Error ? error.message.split('. ')[0] : 'the options cannot be read';
    const where = command.name === 'run' ? '; options of the command itself go behind --' : '';
    throw new UsageError(`${what}${where}; countersign ${command.name} --help lists them`);
  }
}

async function complain(terminal: Terminal, name: string | undefined, thrown: unknown): Promise<number> {
  if (thrown instanceof UsageError) {
    terminal.complain(`countersign: ${thrown.message}\n`);
    return EXIT.usage;
  }
  if (thrown instanceof CommandError) {
    terminal.complain(`countersign ${name ?? ''}: ${thrown.message}\n`);
    return thrown.exitCode;
  }
  const { describeFailure } = await import('./failure.ts');
  const failure = describeFailure(thrown);
  terminal.complain(failure.isWholeLine ? `${failure.text}\n` : `countersign ${name ?? ''}: ${failure.text}\n`);
  return failure.exitCode;
}
