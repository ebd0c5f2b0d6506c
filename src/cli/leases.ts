/**
 * Duty: `countersign leases`: the leases that the running proxy holds.
 * Not here: how it stands with the bindings, leases or none.
 */
import type { LeaseListing } from '../client/client.ts';
import { type Command, CommandError, EXIT, type Terminal, UsageError } from './command.ts';
import { adminSocket, CONFIG_OPTIONS, SOCKET_OPTION } from './settings.ts';

export const leases: Command = {
  name: 'leases',
  usage: '[options]',
  summary: 'List the leases that the running proxy holds: binding, workload, age, expiry, generation',
  options: [
    { name: 'workload', short: 'w', value: 'NAME', help: 'Leases of this workload only' },
    { name: 'instance', value: 'ID', help: 'Leases of this instance alone' },
    { name: 'binding', short: 'b', value: 'NAME', help: 'Leases of this CredentialBinding only' },
    { name: 'source', value: 'NAME', help: 'Leases of this CredentialSource only' },
    SOCKET_OPTION,
    ...CONFIG_OPTIONS,
    { name: 'json', help: 'Print one JSON object a line' },
  ],
  notes: [
    'Those that end first come first. STATE: current is given to new requests, draining only serves those that have it.',
    'LEASE is the beginning of the lease id; with ACCESSOR it finds the lease in the audit records here and at Vault.',
    'Exit codes: 0 done, also where there are none, 64 usage, 69 no proxy answers.',
  ],
  run: async (terminal, given) => {
    if (given.positionals.length > 0) throw new UsageError('leases takes options only, e.g. --workload NAME');
    const { AdminUnreachable, createClient } = await import('../client/client.ts');
    const client = createClient({ socketPath: await adminSocket(terminal, given), name: 'countersign leases' });
    const filters = (['workload', 'instance', 'binding', 'source'] as const).flatMap((name) => {
      const value = given.value(name);
      return value === null ? [] : [[name, value] as const];
    });
    try {
      const found = await client.leases(Object.fromEntries(filters));
      if (given.flag('json')) for (const lease of found) terminal.write(`${JSON.stringify(lease)}\n`);
      else print(terminal, found);
      return EXIT.ok;
    } catch (thrown) {
      if (!(thrown instanceof AdminUnreachable)) throw thrown;
      const next = 'start one (countersign start --config FILE), or name its --socket';
      throw new CommandError(EXIT.unavailable, `${thrown.message}; ${next}`);
    }
  },
};

const HEAD = [
  'BINDING',
  'WORKLOAD',
  'INSTANCE',
  'SOURCE',
  'GEN',
  'STATE',
  'IN USE',
  'AGE',
  'ENDS IN',
  'LEASE',
  'ACCESSOR',
];

function print(terminal: Terminal, found: readonly LeaseListing[]): void {
  if (found.length === 0) {
    terminal.complain('there is no such lease; a lease is obtained with the first request that needs it\n');
    return;
  }
  const rows = [HEAD, ...found.map(cellsOf)];
  const widths = HEAD.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  for (const cells of rows)
    terminal.write(
      `${cells
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

const cellsOf = (each: LeaseListing): string[] => [
  ...[each.binding, each.workload, each.instance ?? '-', each.source, String(each.generation), each.state],
  ...[String(each.inUse), spanOf(each.ageMs), spanOf(each.remainingMs)],
  ...[each.lease.idPrefix ?? '-', each.lease.accessor ?? '-'],
];

/** `42m`: two digits say enough. */
function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)}m` : `${Math.round(seconds / 3_600)}h`;
}
