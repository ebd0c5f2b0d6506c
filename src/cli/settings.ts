/**
 * Duty: which policy files, which state directory and which running proxy a command is about.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stateDirectoryIn } from '../client/default-socket.ts';
import { CommandError, EXIT, type Given, type Option, type Terminal, UsageError } from './command.ts';

export const CONFIG_OPTIONS: readonly Option[] = [
  {
    name: 'config',
    short: 'c',
    value: 'FILE|FOLDER',
    multiple: true,
    help: 'Policy file, or a folder of *.yaml; may be repeated (default: $COUNTERSIGN_CONFIG)',
  },
  { name: 'sandbox', help: 'Use the built-in quickstart: embedded Vault and upstreams, offline' },
];

const QUICKSTART = fileURLToPath(new URL('../../config/quickstart.yaml', import.meta.url));

/** Null where neither option nor environment names one. @throws UsageError */
export function configPaths(terminal: Terminal, given: Given): readonly string[] | null {
  const named = given.values('config').map((path) => resolve(terminal.workingDirectory, path));
  if (given.flag('sandbox')) {
    if (named.length > 0) throw new UsageError('--sandbox and --config exclude each other');
    return [QUICKSTART];
  }
  if (named.length > 0) return named;
  const fallback = terminal.environment['COUNTERSIGN_CONFIG'];
  return fallback ? [resolve(terminal.workingDirectory, fallback)] : null;
}

/** @throws CommandError */
export function requiredConfigPaths(terminal: Terminal, given: Given): readonly string[] {
  const paths = configPaths(terminal, given);
  if (paths === null)
    throw new CommandError(EXIT.usage, 'which policy? give --config FILE, or --sandbox for the built-in quickstart');
  return paths;
}

/** Where keys, admin socket and audit file live unless the Proxy document says otherwise. */
export const defaultStateDirectory = (terminal: Terminal): string =>
  stateDirectoryIn(terminal.environment, terminal.workingDirectory);

export const SOCKET_OPTION: Option = {
  name: 'socket',
  value: 'PATH',
  help: 'Admin socket of the running proxy (default: as the policy says)',
};

/** Of the running proxy. @throws ConfigurationError */
export async function adminSocket(terminal: Terminal, given: Given): Promise<string> {
  const named = given.value('socket');
  if (named !== null) return resolve(terminal.workingDirectory, named);
  const { loadSettings } = await import('../app.ts');
  const place = { configPaths: configPaths(terminal, given), stateDirectory: defaultStateDirectory(terminal) };
  return (await loadSettings(place)).adminSocket;
}
