/** Duty: `countersign presets`: the providers that the proxy knows, and what it knows of each. */
import type { PresetListing } from '../app.ts';
import { type Command, CommandError, EXIT, type Terminal, UsageError } from './command.ts';

/** For completion, which loads nothing. */
export const PRESET_NAMES: readonly string[] = [
  'openai',
  'azure-openai',
  'anthropic',
  'gemini',
  'mistral',
  'cohere',
  'groq',
  'openrouter',
  'huggingface',
  'github',
  'gitlab',
  'slack',
  'stripe',
  'aws',
];

export const presets: Command = {
  name: 'presets',
  takesWords: true,
  words: PRESET_NAMES,
  usage: '[NAME]  [options]',
  summary: 'List the providers that are known; with NAME, print one as a Preset document',
  options: [{ name: 'json', help: 'Print JSON' }],
  notes: [
    'A provider’s preset says where a credential can sit in a request, how one is injected, which calls answer with a credential (and are denied), which are safe without an EgressPolicy, which go on as streams, how an expired key shows, and by which variable SDKs are told a base URL (countersign env --gateway).',
    'What is printed for NAME can be put into a policy file and changed: countersign presets openai > my-openai.yaml. It has a name of its own, which the Service gives as its provider; the names of the list stay what they are.',
    'Exit codes: 0 done, 64 usage, 78 there is no such preset.',
  ],
  run: async (terminal, given) => {
    const [name, ...others] = given.positionals;
    if (others.length > 0) throw new UsageError(`presets takes one name; what is ${JSON.stringify(others[0])}?`);
    const { listPresets } = await import('../app.ts');
    const all = listPresets();
    if (name === undefined) {
      if (given.flag('json')) terminal.write(`${JSON.stringify(all.map(rowOf), null, 2)}\n`);
      else print(terminal, all);
      return EXIT.ok;
    }
    const found = all.find((each) => each.name === name);
    if (found === undefined)
      throw new CommandError(
        EXIT.configuration,
        `there is no preset ${JSON.stringify(name)}; countersign presets lists them`,
      );
    if (given.flag('json')) terminal.write(`${JSON.stringify(found.document, null, 2)}\n`);
    else terminal.write(`# What is built in as "${name}".\n${found.yaml}`);
    return EXIT.ok;
  },
};

const rowOf = ({ document: _document, yaml: _yaml, ...row }: PresetListing): object => row;

const HEAD = ['PRESET', 'INJECTION', 'SLOTS', 'MINTING', 'SAFE', 'STREAMS', 'BASE URL', 'HOSTS'];

function print(terminal: Terminal, all: readonly PresetListing[]): void {
  const rows = all.map(({ name, injection, slots, minting, safe, streams, baseUrls, hosts }) => [
    ...[name, injection, String(slots), String(minting), String(safe), String(streams)],
    baseUrls.join(', ') || '-',
    hosts.join(', '),
  ]);
  const widths = HEAD.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of [HEAD, ...rows])
    terminal.write(`${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}\n`);
}
