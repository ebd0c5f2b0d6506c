/** Duty: `countersign doctor`: run beside an agent, says what keeps it from a host. */

import type { ClientFinding, Examination, Finding } from '../doctor/examine.ts';
import { type Command, EXIT, type Terminal, UsageError } from './command.ts';

const DEFAULT_URL = 'https://api.openai.com/v1/models';

export const doctor: Command = {
  name: 'doctor',
  takesWords: true,
  usage: '[options] [URL]',
  summary: 'Say, from where an agent runs, what keeps it from a host: no proxy, no identity, no trust, or policy',
  options: [{ name: 'json', help: 'Print a JSON object' }],
  notes: [
    `Run it as the agent would be run: countersign run --workload ai-agent -- countersign doctor ${DEFAULT_URL}`,
    'It sends one GET without a credential of its own to URL, by the proxy that HTTPS_PROXY names, and looks at the variables of each client.',
    'Exit codes: 0 all is well, 1 something is wrong.',
  ],
  run: async (terminal, given) => {
    const [text = DEFAULT_URL, ...more] = given.positionals;
    if (more.length > 0) throw new UsageError('doctor takes one URL');
    const url = urlOf(text);
    const { examine } = await import('../doctor/examine.ts');
    const examination = await examine(terminal.environment, url);
    if (given.flag('json')) terminal.write(`${JSON.stringify(examination, null, 2)}\n`);
    else print(terminal, examination);
    const isWell =
      examination.findings.every(({ state }) => state !== 'wrong') &&
      examination.clients.every(({ state }) => state === 'ok');
    return isWell ? EXIT.ok : EXIT.negative;
  },
};

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'https:' || url.username !== '')
    throw new UsageError(`${JSON.stringify(text)} is not a URL like ${DEFAULT_URL}`);
  return url;
}

const GREEN = 32;
const RED = 31;
const YELLOW = 33;

function print(terminal: Terminal, { findings, clients }: Examination): void {
  const hasColour = terminal.isTerminal && !terminal.environment['NO_COLOR'];
  const paint = (code: number, text: string): string => (hasColour ? `\u001b[${code}m${text}\u001b[0m` : text);
  for (const finding of findings) terminal.write(`${findingLine(finding, paint)}\n`);
  terminal.write('\n');
  const width = Math.max(...clients.map(({ client }) => client.length));
  for (const each of clients) terminal.write(`${clientLine(each, width, paint)}\n`);
}

type Paint = (code: number, text: string) => string;

function findingLine({ check, state, detail, next }: Finding, paint: Paint): string {
  const word = state === 'ok' ? paint(GREEN, 'ok   ') : paint(state === 'wrong' ? RED : YELLOW, state.padEnd(5));
  return `${word}  ${check.padEnd(9)}  ${detail}${next === null ? '' : `\n${' '.repeat(18)}→ ${next}`}`;
}

function clientLine({ client, state, next, note }: ClientFinding, width: number, paint: Paint): string {
  const colour = state === 'ok' ? GREEN : state === 'unknown' ? YELLOW : RED;
  const more = [next, note].filter((text) => text !== null).join('; ');
  return `${client.padEnd(width)}  ${paint(colour, state.padEnd(8))}${more === '' ? '' : `  ${more}`}`.trimEnd();
}
