/** Duty: `countersign sidecar-init`: the kernel's rules that bring a workload's traffic to the transparent listener, and keep the rest in. */
import { spawnSync } from 'node:child_process';
import { CHAINS, iptablesRules } from '../sidecar/iptables-rules.ts';
import { NFT_UNDO, nftRules } from '../sidecar/nft-rules.ts';
import { parseNetwork, parsePortNumber, parseUid, type RedirectPlan } from '../sidecar/plan.ts';
import { type Command, CommandError, EXIT, type Given, type Terminal, UsageError } from './command.ts';

const DEFAULT_PORT = '15001';
const DEFAULT_PORTS = [80, 443];

export const sidecarInit: Command = {
  name: 'sidecar-init',
  usage: '--uid UID [options]',
  summary: 'Redirect the traffic of this network namespace to the proxy, and refuse what goes around it',
  options: [
    { name: 'uid', value: 'UID', help: 'The user of the proxy, whose traffic goes out as it is' },
    { name: 'port', value: 'PORT', help: `Of the transparent listener (default: ${DEFAULT_PORT})` },
    {
      name: 'redirect',
      value: 'PORT',
      multiple: true,
      help: `TCP port that is redirected (default: ${DEFAULT_PORTS.join(' and ')})`,
    },
    { name: 'exempt-port', value: 'PORT', multiple: true, help: 'TCP port that stays as it is' },
    { name: 'exempt', value: 'NETWORK', multiple: true, help: 'Destination that stays as it is, e.g. 10.1.0.0/16' },
    {
      name: 'dns',
      value: 'WAY',
      help: 'keep, drop, or a port of this host that answers in place of all (default: keep)',
    },
    { name: 'allow-others', help: 'Refuse QUIC alone of what is not redirected (default: refuse all of it)' },
    { name: 'tool', value: 'NAME', help: 'nft or iptables (default: the first that is installed)' },
    { name: 'dry-run', help: 'Print the rules and change nothing' },
    { name: 'undo', help: 'Take the rules away' },
    { name: 'json', help: 'Print a JSON object' },
  ],
  notes: [
    'Needs root, or CAP_NET_ADMIN, in the network namespace of the workload: a sidecar’s init container, for example.',
    'May be run again and again: the rules of before are replaced. The workload must not be root, and not the user of the proxy.',
  ],
  run: async (terminal, given) => {
    const tool = toolOf(given, terminal);
    const isDry = given.flag('dry-run');
    if (given.flag('undo')) {
      const steps = tool === 'nft' ? [{ command: ['nft', '-f', '-'], input: NFT_UNDO }] : undoSteps();
      return finish(terminal, given, { tool, steps, isDry, done: 'the rules are gone' });
    }
    const plan = planOf(given);
    const steps = tool === 'nft' ? [{ command: ['nft', '-f', '-'], input: nftRules(plan) }] : restoreSteps(plan, isDry);
    const others = plan.refusesOthers ? 'all else is refused' : 'QUIC is refused';
    const done = `TCP to port ${plan.ports.join(', ')} is redirected to port ${plan.proxyPort}; ${others}`;
    return finish(terminal, given, { tool, steps, isDry, done });
  },
};

type Tool = 'nft' | 'iptables';

interface Step {
  readonly command: readonly string[];
  readonly input: string;
  /** What is to be taken away may not be there. */
  readonly mayFail?: boolean;
}

interface Work {
  readonly tool: Tool;
  readonly steps: readonly Step[];
  readonly isDry: boolean;
  readonly done: string;
}

function finish(terminal: Terminal, given: Given, { tool, steps, isDry, done }: Work): number {
  if (!isDry) for (const step of steps) perform(step, tool);
  const text = steps.map(({ command, input }) => `# ${command.join(' ')}\n${input}`).join('\n');
  if (given.flag('json')) terminal.write(`${JSON.stringify({ tool, applied: !isDry, steps }, null, 2)}\n`);
  else terminal.write(isDry ? text : `${done} (${tool})\n`);
  return EXIT.ok;
}

function perform({ command: [program = '', ...args], input, mayFail }: Step, tool: Tool): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8', timeout: 30_000 });
  if (error !== undefined) throw new CommandError(EXIT.unavailable, missing(program, error));
  if (status === 0 || mayFail === true) return;
  const hint = /permitted|denied|you must be root/i.test(stderr)
    ? 'it takes root, or CAP_NET_ADMIN, in this network namespace'
    : `try --tool ${tool === 'nft' ? 'iptables' : 'nft'}, or --dry-run to see the rules`;
  throw new CommandError(EXIT.unavailable, `${program} failed; ${hint}\n${stderr.trimEnd()}`);
}

const missing = (program: string, error: Error): string =>
  'code' in error && error.code === 'ENOENT'
    ? `there is no ${program}; install the package ${program.startsWith('nft') ? 'nftables' : 'iptables'}`
    : `${program} cannot be run: ${error.message}`;

const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

function toolOf(given: Given, { uid }: Terminal): Tool {
  const wanted = given.value('tool');
  if (wanted !== null && wanted !== 'nft' && wanted !== 'iptables')
    throw new UsageError(`--tool is nft or iptables, not ${JSON.stringify(wanted)}`);
  if (wanted !== null) return wanted;
  if (isInstalled('nft') || given.flag('dry-run')) return 'nft';
  if (isInstalled('iptables-restore')) return 'iptables';
  throw new CommandError(
    EXIT.unavailable,
    `there is neither nft nor iptables${uid === 0 ? '' : ' in the PATH of this user'}; install the package nftables`,
  );
}

const FAMILIES = [4, 6] as const;
const prefixOf = (family: 4 | 6): string => (family === 4 ? 'iptables' : 'ip6tables');
const TABLES = Object.keys(CHAINS) as (keyof typeof CHAINS)[];

function restoreSteps(plan: RedirectPlan, isDry: boolean): Step[] {
  return FAMILIES.map((family) => {
    const name = prefixOf(family);
    const hasJump = (table: keyof typeof CHAINS): boolean =>
      !isDry && spawnSync(name, ['-w', '-t', table, '-C', 'OUTPUT', '-j', CHAINS[table]]).status === 0;
    const missingJumps = TABLES.filter((table) => !hasJump(table));
    return { command: [`${name}-restore`, '-w', '--noflush'], input: iptablesRules(plan, family, missingJumps) };
  });
}

function undoSteps(): Step[] {
  return FAMILIES.flatMap((family) =>
    TABLES.flatMap((table) => {
      const chain = CHAINS[table];
      const on = (...words: string[]): Step => ({
        command: [prefixOf(family), '-w', '-t', table, ...words],
        input: '',
        mayFail: true,
      });
      return [on('-D', 'OUTPUT', '-j', chain), on('-F', chain), on('-X', chain)];
    }),
  );
}

/** @throws UsageError */
function planOf(given: Given): RedirectPlan {
  const uidText = given.value('uid');
  if (uidText === null)
    throw new UsageError(
      'whose traffic goes out? --uid UID is the user of the proxy; without it the proxy would reach itself',
    );
  const proxyUid = parseUid(uidText);
  if (proxyUid === null) throw new UsageError(`--uid takes the number of a user, not ${JSON.stringify(uidText)}`);
  const ports = given.values('redirect').map((text) => portOf('redirect', text));
  const proxyPort = portOf('port', given.value('port') ?? DEFAULT_PORT);
  const plan = {
    proxyUid,
    proxyPort,
    ports: ports.length === 0 ? DEFAULT_PORTS : [...new Set(ports)],
    exemptPorts: [...new Set(given.values('exempt-port').map((text) => portOf('exempt-port', text)))],
    exempt: given.values('exempt').map((text) => {
      const network = parseNetwork(text);
      if (network === null)
        throw new UsageError(`--exempt takes a network such as 10.1.0.0/16, not ${JSON.stringify(text)}`);
      return network;
    }),
    dns: dnsOf(given.value('dns') ?? 'keep'),
    refusesOthers: !given.flag('allow-others'),
  };
  if (plan.ports.includes(proxyPort))
    throw new UsageError(`port ${proxyPort} is redirected to itself; name another with --port or --redirect`);
  return plan;
}

function portOf(option: string, text: string): number {
  const port = parsePortNumber(text);
  if (port === null) throw new UsageError(`--${option} takes a port from 1 to 65535, not ${JSON.stringify(text)}`);
  return port;
}

function dnsOf(text: string): RedirectPlan['dns'] {
  if (text === 'keep' || text === 'drop') return text;
  const port = parsePortNumber(text);
  if (port === null) throw new UsageError(`--dns is keep, drop or a port, not ${JSON.stringify(text)}`);
  return port;
}
