/** Duty: `countersign status`: how it stands with the bindings of the running proxy. */
import type { BindingStatus, ProxyStatus } from '../client/answers.ts';
import { ADMIN_OPTIONS, askProxy } from './admin-call.ts';
import { type Command, CommandError, EXIT, type Terminal } from './command.ts';

export const status: Command = {
  name: 'status',
  takesWords: true,
  usage: '[options] [BINDING…]',
  summary: 'Print for each binding its state, reason, SPIFFE ID, lease and file',
  options: ADMIN_OPTIONS,
  notes: [
    'States: Ready (a lease is there; with a reason where it could not be replaced), Pending (on its way), Idle (nobody asked lately), Failed (no lease, and the reason says why).',
    'Exit codes: 0 nothing has failed, 1 a binding has, 69 no proxy answers.',
  ],
  run: async (terminal, given) => {
    const answer = (await askProxy(terminal, given, { method: 'GET', path: '/v1/status' })) as ProxyStatus;
    const bindings = chosen(answer.bindings, given.positionals);
    if (given.flag('json')) {
      const shown = given.positionals.length === 0 ? answer : { ...answer, bindings };
      terminal.write(`${JSON.stringify(shown, null, 2)}\n`);
    } else print(terminal, answer, bindings, given.positionals.length === 0);
    return bindings.some(({ state }) => state === 'Failed') ? EXIT.negative : EXIT.ok;
  },
};

/** All where none is named. @throws CommandError */
function chosen(bindings: readonly BindingStatus[], names: readonly string[]): readonly BindingStatus[] {
  const known = [...new Set(bindings.map(({ binding }) => binding))];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new CommandError(
      EXIT.usage,
      `the policy has no binding ${JSON.stringify(unknown)}; it has ${known.join(', ') || 'none'}`,
    );
  return names.length === 0 ? bindings : bindings.filter(({ binding }) => names.includes(binding));
}

const HEAD = ['BINDING', 'STATE', 'SPIFFE ID', 'INSTANCE', 'SOURCE', 'GEN', 'LEASE', 'ENDS', 'CHANGED', 'FOR'];
const STATE_COLUMN = 1;
/** Green, red, yellow: what stands out is what one looks for. */
const COLOURS: Readonly<Record<string, number>> = { Ready: 32, Failed: 31, Pending: 33 };

function print(terminal: Terminal, answer: ProxyStatus, bindings: readonly BindingStatus[], isWhole: boolean): void {
  const hasColour = terminal.isTerminal && !terminal.environment['NO_COLOR'];
  const paint = (code: number | undefined, text: string): string =>
    hasColour && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  if (isWhole) {
    const workers = answer.workers.length === 0 ? '' : `, ${answer.workers.length} workers`;
    const ready = answer.ready ? 'ready' : 'draining';
    terminal.write(
      `${answer.proxyUrl}  ${ready}, revision ${answer.revision}, ${answer.instances} instances${workers}\n\n`,
    );
  }
  if (bindings.length === 0) {
    terminal.write('the policy has no bindings\n');
    return;
  }
  const rows = bindings.map((binding) => ({ cells: cellsOf(binding, answer.now), reason: binding.reason }));
  const widths = HEAD.map((head, i) => Math.max(head.length, ...rows.map(({ cells }) => cells[i]?.length ?? 0)));
  const line = (cells: readonly string[], colour?: number): string =>
    cells
      .map((cell, i) => {
        const padded = cell.padEnd(widths[i] ?? 0);
        return i === STATE_COLUMN ? paint(colour, padded) : padded;
      })
      .join('  ')
      .trimEnd();
  terminal.write(`${paint(1, line(HEAD))}\n`);
  for (const { cells, reason } of rows) {
    terminal.write(`${line(cells, COLOURS[cells[STATE_COLUMN] ?? ''])}\n`);
    if (reason !== null) terminal.write(`  ${reason.code}${reason.detail === null ? '' : `: ${reason.detail}`}\n`);
  }
}

function cellsOf(row: BindingStatus, now: number): string[] {
  const { binding, state, spiffeId, instance, source, generation, lease, changedAt, way, path, services } = row;
  return [
    binding,
    state,
    spiffeId,
    instance ?? '-',
    source,
    generation === null ? '-' : String(generation),
    lease?.idPrefix ?? '-',
    lease === null ? '-' : spanOf(lease.expiresAt - now),
    changedAt === null ? '-' : `${spanOf(now - changedAt)} ago`,
    way === 'injection' ? services.join(',') : (path ?? way),
  ];
}

/** `42m`: two digits say enough. */
function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)}m` : `${Math.round(seconds / 3_600)}h`;
}
