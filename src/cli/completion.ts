/** Duty: completion scripts for bash, zsh and fish, made from the commands' own tables. */
import { type Command, EXIT, type Terminal, UsageError } from './command.ts';

export function completion(terminal: Terminal, words: readonly string[], commands: readonly Command[]): number {
  const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[words[0] ?? ''];
  if (script === undefined)
    throw new UsageError('completion takes bash, zsh or fish, e.g. source <(countersign completion bash)');
  terminal.write(script(commands));
  return EXIT.ok;
}

const names = (commands: readonly Command[]): string =>
  [...commands.map((command) => command.name), 'completion', 'version', 'help'].join(' ');
const flags = (command: Command): string =>
  ['--help', ...command.options.map((option) => `--${option.name}`)].join(' ');

function bashScript(commands: readonly Command[]): string {
  return [
    '_countersign() {',
    `  local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}`,
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${names(commands)}" -- "$word"))`,
    '    return',
    '  fi',
    '  case "$command" in',
    ...commands.flatMap((command) => [
      `    ${command.name})`,
      `      [[ $word == -* ]] && COMPREPLY=($(compgen -W "${flags(command)}" -- "$word"))`,
      ...(command.words === undefined
        ? []
        : [
            `      [[ $word != -* && $COMP_CWORD -eq 2 ]] && COMPREPLY=($(compgen -W "${command.words.join(' ')}" -- "$word"))`,
          ]),
      '      ;;',
    ]),
    '  esac',
    '}',
    'complete -o default -F _countersign countersign',
    '',
  ].join('\n');
}

function zshScript(commands: readonly Command[]): string {
  return ['autoload -U +X bashcompinit && bashcompinit', bashScript(commands)].join('\n');
}

function fishScript(commands: readonly Command[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  return [
    ...commands.map(
      (command) =>
        `complete -c countersign -n __fish_use_subcommand -f -a ${command.name} -d ${quote(command.summary)}`,
    ),
    ...commands.flatMap((command) =>
      (command.words ?? []).map(
        (word) =>
          `complete -c countersign -n '__fish_seen_subcommand_from ${command.name}; and not __fish_seen_subcommand_from ${command.words?.join(' ')}' -f -a ${word}`,
      ),
    ),
    ...commands.flatMap((command) =>
      command.options.map(
        (option) =>
          `complete -c countersign -n '__fish_seen_subcommand_from ${command.name}' -l ${option.name} -d ${quote(option.help)}`,
      ),
    ),
    '',
  ].join('\n');
}
