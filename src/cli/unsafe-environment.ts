/**
 * Duty: refuses an environment in which the proxy could not keep its promises.
 * Source: nodejs.org/api/cli.html (environment variables).
 */
import { CommandError, EXIT } from './command.ts';

/** Variable → what it would do. Roots of the environment are not here: upstream trust reads none of them. */
const UNSAFE: Readonly<Record<string, string>> = {
  NODE_TLS_REJECT_UNAUTHORIZED: 'can turn off the verification of certificates',
  SSLKEYLOGFILE: 'asks for TLS session keys on disk',
  NODE_OPTIONS: 'can load code, open the inspector or loosen the HTTP parser',
  NODE_DEBUG: 'prints what goes over the wire',
  NODE_V8_COVERAGE: 'writes what the process did to disk',
  LD_PRELOAD: 'loads code into the process',
  OPENSSL_CONF: 'can replace the cryptography',
};

/** @throws CommandError */
export function refuseUnsafeEnvironment(environment: Readonly<Record<string, string | undefined>>): void {
  const found = Object.keys(UNSAFE).filter((name) => environment[name]);
  if (found.length === 0) return;
  const lines = found.map((name) => `  ${name} ${UNSAFE[name] ?? ''}`);
  throw new CommandError(
    EXIT.configuration,
    `the environment is unsafe for a proxy that holds credentials:\n${lines.join('\n')}\nunset ${found.join(' ')}, or pass --allow-unsafe-environment if you know why`,
  );
}
