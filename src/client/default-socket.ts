/**
 * Duty: where a proxy keeps its state, and with it its admin socket, when nobody says otherwise.
 * Source: XDG Base Directory Specification.
 */
import { join, resolve } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

export function stateDirectoryIn(environment: Environment, workingDirectory: string): string {
  const own = environment['COUNTERSIGN_STATE_DIR'];
  if (own) return resolve(workingDirectory, own);
  const base = environment['XDG_STATE_HOME'] || join(environment['HOME'] || '/tmp', '.local', 'state');
  return join(base, 'countersign');
}

export const socketIn = (environment: Environment, workingDirectory: string): string =>
  join(stateDirectoryIn(environment, workingDirectory), 'admin.sock');
