/**
 * Duty: a credential in the keyring of the user whose session this is.
 * In → Out: service and account → the one key that is kept under them.
 * Holds: asked through the system's own program at its usual place; on Linux by the attributes `service` and `username`.
 * Fails: `credential_unavailable` (no such program, locked, not there), `credential_invalid`.
 * Source: secret-tool(1) of libsecret; security(1) of macOS, `find-generic-password -w`.
 */
import { platform, userInfo } from 'node:os';
import { EgressError } from '../../core/errors.ts';
import type { KeyringSourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { heldGrant } from './held.ts';
import { type Program, runProgram } from './program.ts';
import type { SourceParts } from './source-parts.ts';
import { storedParts } from './stored.ts';

export interface KeyringSourceParts extends Pick<SourceParts, 'clock' | 'ownUid'> {
  /** Where the program is; the system's own place where left out. */
  readonly programPath?: string;
}

const TIMEOUT_MS = 4000;
/** A key that was changed in the keyring is seen after this time at the latest. */
const HELD_MS = 60 * 60_000;

export function createKeyringSource(options: KeyringSourceOptions, parts: KeyringSourceParts): CredentialSource {
  return { name: options.name, fetch: (_workload, signal) => fetchGrant(options, parts, signal) };
}

async function fetchGrant(
  options: KeyringSourceOptions,
  { clock, ownUid, programPath }: KeyringSourceParts,
  signal: AbortSignal,
): Promise<Grant> {
  const program = platform() === 'darwin' ? macProgram(options) : linuxProgram(options, ownUid);
  const startMs = clock.monotonicMs();
  const { exitCode, output } = await runProgram(
    { ...program, path: programPath ?? program.path },
    { ownUid, clock },
    signal,
  );
  if (exitCode === 0 && output.length > 0) return heldGrant(storedParts(output, 'raw', null), startMs + HELD_MS);
  output.fill(0);
  throw new EgressError('credential_unavailable', {
    detail: 'the keyring has no such key, is locked, or is not that of this session',
    retryAfterMs: 1000,
  });
}

const macProgram = ({ service, account }: KeyringSourceOptions): Program => ({
  path: '/usr/bin/security',
  arguments: ['find-generic-password', '-s', service, '-a', account, '-w'],
  environment: { HOME: userInfo().homedir },
  timeoutMs: TIMEOUT_MS,
});

function linuxProgram({ service, account, busAddress }: KeyringSourceOptions, ownUid: number): Program {
  const runtime = `/run/user/${ownUid}`;
  return {
    path: '/usr/bin/secret-tool',
    arguments: ['lookup', 'service', service, 'username', account],
    environment: {
      HOME: userInfo().homedir,
      XDG_RUNTIME_DIR: runtime,
      DBUS_SESSION_BUS_ADDRESS: busAddress ?? `unix:path=${runtime}/bus`,
    },
    timeoutMs: TIMEOUT_MS,
  };
}
