/**
 * Duty: which foreign programs are here, in which version, and how to get those that are not.
 * Fails: a missing program that nothing goes without is one clear sentence; squid and wrk cost their column only.
 */
import { spawnSync } from 'node:child_process';

export interface Tools {
  readonly nginx: string;
  /** Null where it is missing, or cannot intercept TLS. */
  readonly squid: string | null;
  readonly wrk: string | null;
  /** What is left out, and how to get it. */
  readonly notes: readonly string[];
}

/** @throws Error with what to install. */
export function findTools(): Tools {
  for (const [command, how] of [
    ['taskset', 'apt-get install util-linux'],
    ['openssl', 'apt-get install openssl'],
    ['nginx', 'apt-get install nginx-light'],
  ] as const) {
    if (outputOf('which', command) === null) throw new Error(`the benchmark needs ${command}: ${how}`);
  }
  const notes: string[] = [];
  const squid = outputOf('squid', '-v');
  const canBump = squid?.includes('--with-openssl') === true;
  if (squid === null) notes.push('squid is not here, its column is left out: apt-get install squid-openssl');
  else if (!canBump) {
    notes.push('this squid is built without OpenSSL, its column is left out: apt-get install squid-openssl');
  }
  const wrk = outputOf('wrk', '-v');
  if (wrk === null) notes.push('wrk is not here, the row "generator" is left out: apt-get install wrk');
  return {
    nginx: (outputOf('nginx', '-v') ?? '').replace('nginx version: ', ''),
    squid: canBump ? (/Version (\S+)/.exec(squid)?.[1] ?? '') : null,
    wrk: wrk === null ? null : (/^wrk (\S+)/.exec(wrk)?.[1] ?? ''),
    notes,
  };
}

/** Both outputs, for some programs print their version on standard error and exit with 1. Null: there is no such program. */
function outputOf(command: string, argument: string): string | null {
  const { error, stdout, stderr, status } = spawnSync(command, [argument], { encoding: 'utf8', timeout: 5_000 });
  if (error !== undefined || (command === 'which' && status !== 0)) return null;
  return `${stdout}${stderr}`.trim();
}
