/** Duty: `countersign doctor`: run beside an agent, says what keeps it from a host. */

import { join } from 'node:path';
import type { ClientFinding, Examination, Finding } from '../doctor/examine.ts';
import { type Command, EXIT, type Given, type Terminal, UsageError } from './command.ts';
import { defaultStateDirectory } from './settings.ts';

const DEFAULT_ADDRESSES = ['1.1.1.1', '2606:4700:4700::1111'];
const DEFAULT_URL = 'https://api.openai.com/v1/models';

export const doctor: Command = {
  name: 'doctor',
  takesWords: true,
  usage: '[options] [URL]',
  summary: 'Say, from where an agent runs, what keeps it from a host: no proxy, no identity, no trust, or policy',
  options: [
    { name: 'bypass', help: 'Try to go around the proxy instead, without any variable' },
    {
      name: 'address',
      value: 'ADDRESS',
      multiple: true,
      help: `Address of the internet that --bypass tries (default: ${DEFAULT_ADDRESSES.join(' and ')})`,
    },
    { name: 'vault', value: 'URL', help: 'A Vault that --bypass should not reach (default: $VAULT_ADDR)' },
    { name: 'json', help: 'Print a JSON object' },
  ],
  notes: [
    `Run it as the agent would be run: countersign run --workload ai-agent -- countersign doctor ${DEFAULT_URL}`,
    'It sends one GET without a credential of its own to URL, by the proxy that HTTPS_PROXY names, and looks at the variables of each client. Where none is named it begins TLS with the host, to see whether that comes to the proxy (a jail, a redirect).',
    '--bypass sends a few packets to its addresses, by TLS, TCP, QUIC and DNS, and nothing secret; what answers it says is open.',
    'Exit codes: 0 all is well, 1 something is wrong.',
  ],
  run: async (terminal, given) => {
    const [text = DEFAULT_URL, ...more] = given.positionals;
    if (more.length > 0) throw new UsageError('doctor takes one URL');
    const url = urlOf(text);
    if (given.flag('bypass')) return bypass(terminal, given, url);
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

async function bypass(terminal: Terminal, given: Given, url: URL): Promise<number> {
  const addresses = given.values('address').length > 0 ? given.values('address') : DEFAULT_ADDRESSES;
  const wrong = addresses.find((address) => !/^(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/.test(address));
  if (wrong !== undefined) throw new UsageError(`--address takes an IP address, not ${JSON.stringify(wrong)}`);
  const vault = vaultOf(given.value('vault') ?? terminal.environment['VAULT_ADDR'] ?? null);
  const { tryBypass } = await import('../doctor/bypass.ts');
  const adminSocket = join(defaultStateDirectory(terminal), 'admin.sock');
  const attempts = await tryBypass({ host: url.hostname, addresses, vault, adminSocket });
  if (given.flag('json')) terminal.write(`${JSON.stringify({ attempts }, null, 2)}\n`);
  else {
    const hasColour = terminal.isTerminal && !terminal.environment['NO_COLOR'];
    for (const { attempt, state, detail, next } of attempts) {
      const word = hasColour ? `\u001b[${state === 'open' ? RED : GREEN}m${state.padEnd(7)}\u001b[0m` : state.padEnd(7);
      terminal.write(`${word}  ${attempt}: ${detail}${next === null ? '' : `\n${' '.repeat(9)}→ ${next}`}\n`);
    }
  }
  return attempts.every(({ state }) => state !== 'open') ? EXIT.ok : EXIT.negative;
}

function vaultOf(text: string | null): { readonly host: string; readonly port: number } | null {
  if (text === null || text === '') return null;
  if (!URL.canParse(text))
    throw new UsageError(`${JSON.stringify(text)} is not a URL like https://vault.internal:8200`);
  const { hostname, port, protocol } = new URL(text);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'http:' ? 80 : 443) };
}

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
