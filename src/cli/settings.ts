/**
 * Duty: which policy files and which state directory a command is about.
 * Source: XDG Base Directory Specification for the default place of the state.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
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
export function defaultStateDirectory(terminal: Terminal): string {
  const { environment } = terminal;
  const own = environment['COUNTERSIGN_STATE_DIR'];
  if (own) return resolve(terminal.workingDirectory, own);
  const base = environment['XDG_STATE_HOME'] || join(environment['HOME'] || '/tmp', '.local', 'state');
  return join(base, 'countersign');
}
