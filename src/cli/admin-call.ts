/** Duty: one call to the admin socket of the running proxy, for the commands that ask it something. */
import { CommandError, EXIT, type Given, type Option, type Terminal } from './command.ts';
import { CONFIG_OPTIONS, configPaths, defaultStateDirectory } from './settings.ts';

export const ADMIN_OPTIONS: readonly Option[] = [
  ...CONFIG_OPTIONS,
  { name: 'socket', value: 'PATH', help: 'Admin socket of the running proxy' },
  { name: 'json', help: 'Print a JSON object' },
];

export interface AdminCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

/** @throws CommandError where no proxy answers, or where it refuses. */
export async function askProxy(terminal: Terminal, given: Given, call: AdminCall): Promise<unknown> {
  const { AdminUnreachable, callAdmin, loadSettings } = await import('../app.ts');
  const place = { configPaths: configPaths(terminal, given), stateDirectory: defaultStateDirectory(terminal) };
  const socket = given.value('socket') ?? (await loadSettings(place)).adminSocket;
  try {
    return await callAdmin(socket, call.method, call.path, call.body);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'the proxy refused';
    const next = '; start one (countersign start --config FILE), or name its socket with --socket';
    throw new CommandError(EXIT.unavailable, error instanceof AdminUnreachable ? `${message}${next}` : message);
  }
}
