/** Duty: help texts, made from the commands' own tables. */
import type { Command } from './command.ts';

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length), 'completion'.length);
  const line = (name: string, summary: string): string => `  ${name.padEnd(width)}  ${summary}`;
  return [
    'countersign: an egress proxy that gives agents the use of credentials they never hold',
    '',
    'Usage: countersign COMMAND [options]',
    '',
    ...commands.map((command) => line(command.name, command.summary)),
    line('completion', 'Print a completion script for bash, zsh or fish'),
    line('version', 'Print the version'),
    line('help', 'Print this, or the help of a command: countersign help run'),
    '',
    'First steps:',
    '  countersign start --sandbox --story         see it work offline, with no account and no real key',
    '  countersign run --sandbox -- curl https://api.openai.com/v1/models',
    '  countersign check --config policy.yaml      validate a policy and see what it allows',
    '',
    'Environment:',
    '  COUNTERSIGN_CONFIG     policy where --config is not given',
    '  COUNTERSIGN_STATE_DIR  folder for keys, CA, admin socket and audit file (default: $XDG_STATE_HOME/countersign)',
    '',
    'Exit codes: 0 done, 1 denied or warnings, 64 usage, 69 no proxy answers, 70 internal, 78 configuration;',
    'run ends with the code of its command.',
    '',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const rows = [...command.options, { name: 'help', short: 'h', help: 'Print this' }].map((option) => {
    const short = 'short' in option && option.short !== undefined ? `-${option.short}, ` : '    ';
    const value = 'value' in option && option.value !== undefined ? ` ${option.value}` : '';
    const word = 'mayBe' in option && option.mayBe !== undefined ? `[=${option.mayBe}]` : '';
    return { left: `${short}--${option.name}${word}${value}`, help: option.help };
  });
  const width = Math.max(...rows.map((row) => row.left.length));
  return [
    `Usage: countersign ${command.name} ${command.usage}`.trimEnd(),
    '',
    command.summary,
    '',
    'Options:',
    ...rows.map((row) => `  ${row.left.padEnd(width)}  ${row.help}`),
    '',
    ...(command.notes ?? []).flatMap((note) => [note, '']),
  ].join('\n');
}
