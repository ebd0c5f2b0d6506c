/**
 * Duty: `countersign run --jail`: what the user asked of the jail, and the command in it.
 * In → Out: options → a jail's exit code, or why there is none.
 * Holds: the jail is loaded only where it is asked for; without one its options are a mistake.
 * Not here: the jail itself (jail/).
 */
import { appendFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { agentEnvironment, agentVariables, leadsPast } from './agent-environment.ts';
import { CommandError, EXIT, type Given, type Option, type Terminal, UsageError } from './command.ts';
import type { HeldInstance } from './held-instance.ts';
import { defaultStateDirectory } from './settings.ts';

export const JAIL_OPTIONS: readonly Option[] = [
  {
    name: 'jail',
    mayBe: 'try',
    help: 'Run it where the proxy is the only way out; =try goes on without where this system cannot',
  },
  { name: 'jail-port', value: 'PORT', multiple: true, help: 'Carry this TCP port to the proxy too, beside 443 and 80' },
  {
    name: 'allow-host-port',
    value: 'PORT',
    multiple: true,
    help: 'Let the jail reach this port of the host’s loopback, at its own 127.0.0.1',
  },
  { name: 'jail-hide', value: 'PATH', multiple: true, help: 'Hide this file or folder in the jail too' },
  { name: 'jail-show', value: 'PATH', multiple: true, help: 'Do not hide this file or folder in the jail' },
  {
    name: 'jail-log',
    value: 'FILE',
    help: 'Write the names that the jail asked for and what was refused to this file',
  },
];

export const JAIL_NOTES: readonly string[] = [
  'With --jail no variable names the proxy: every connection to port 443 or 80 of any address is carried to it, every other port is refused, names are answered with addresses of 198.18.0.0/16 and never asked of anybody. Programs find the CA in place of the system’s roots.',
  'In a jail the folders of known credentials (~/.aws, ~/.ssh, ~/.config/gcloud, …), the proxy’s own state, /run, /tmp and other processes are not there. Other files of yours are, and can be written.',
];

export interface JailWish {
  /** Without a jail where there can be none. */
  readonly isOptional: boolean;
  readonly ports: readonly number[];
  readonly hostPorts: readonly number[];
  readonly hide: readonly string[];
  readonly show: readonly string[];
  readonly logFile: string | null;
}

const NAMES_PORT = 53;

/** Null where no jail is asked for. @throws UsageError */
export function jailWish(terminal: Terminal, given: Given): JailWish | null {
  const asked = given.value('jail');
  if (asked === null) {
    const stray = JAIL_OPTIONS.find(({ name }) => given.value(name) !== null || given.values(name).length > 0);
    if (stray !== undefined) throw new UsageError(`--${stray.name} is for a jail; give --jail too`);
    return null;
  }
  if (given.flag('gateway'))
    throw new UsageError('--jail and --gateway exclude each other: in a jail no program need be told of a proxy');
  const path = (text: string): string => resolve(terminal.workingDirectory, text);
  const ports = portsOf(given, 'jail-port');
  const hostPorts = portsOf(given, 'allow-host-port');
  const both = [443, 80, ...ports].find((port) => hostPorts.includes(port));
  if (both !== undefined)
    throw new UsageError(
      `port ${both} cannot lead both to the proxy and to the host; leave out --allow-host-port ${both}`,
    );
  const logFile = given.value('jail-log');
  return {
    ...{ isOptional: asked === 'try', ports, hostPorts },
    ...{ hide: given.values('jail-hide').map(path), show: given.values('jail-show').map(path) },
    logFile: logFile === null ? null : path(logFile),
  };
}

function portsOf(given: Given, name: string): number[] {
  return given.values(name).map((text) => {
    const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
    if (port < 1 || port > 65_535)
      throw new UsageError(`--${name} takes a port from 1 to 65535, not ${JSON.stringify(text)}`);
    if (port === NAMES_PORT) throw new UsageError(`--${name} 53: the jail answers DNS itself`);
    return port;
  });
}

export interface JailedRun {
  readonly wish: JailWish;
  readonly held: HeldInstance;
  /** The bundle, and with it what the user's own programs trust. */
  readonly rootsFile: string;
  readonly kept: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
}

/** The command's exit code; null where there can be no jail and none is needed. @throws CommandError */
export async function runJailed(terminal: Terminal, jailed: JailedRun): Promise<number | null> {
  const { wish } = jailed;
  const { openJail, JailFailure } = await import('../jail/open-jail.ts');
  const { JailUnavailable } = await import('../jail/refusals.ts');
  const { JailPlanError } = await import('../jail/mount-plan.ts');
  try {
    const jail = await openJail(await orderFor(terminal, jailed));
    const stop = terminal.onSignal((signal) => jail.deliver(signal));
    return await jail.ended.finally(stop);
  } catch (error) {
    if (error instanceof JailPlanError) throw new CommandError(EXIT.usage, error.message);
    if (error instanceof JailFailure) throw new CommandError(error.exitCode, error.message);
    if (!(error instanceof JailUnavailable)) throw error;
    if (!wish.isOptional) throw new CommandError(EXIT.unavailable, `no jail: ${error.message}; or give --jail=try`);
    terminal.complain(`countersign: NOT in a jail: ${error.message}\n`);
    return null;
  }
}

async function orderFor(terminal: Terminal, { wish, held, rootsFile, kept, command, args }: JailedRun) {
  const { answer } = held;
  const { DEAD_VARIABLES } = await import('../jail/hidden-places.ts');
  const dead = new Set(DEAD_VARIABLES);
  const alive = Object.fromEntries(
    Object.entries(terminal.environment).filter(
      ([name]) => !dead.has(name) && (kept.includes(name) || !leadsPast(name)),
    ),
  );
  const home = terminal.environment['HOME'];
  return {
    ...{
      command,
      args,
      workingDirectory: terminal.workingDirectory,
      uid: terminal.uid,
      gid: terminal.gid,
      umask: terminal.umask,
    },
    environment: agentEnvironment(alive, agentVariables({ ...answer, proxyUrl: null }, alive), kept),
    ownEnvironment: terminal.environment,
    home: home !== undefined && isAbsolute(home) ? home : homedir(),
    node: { path: terminal.nodePath, arguments: terminal.nodeArguments },
    proxy: { ...answer, rootsFile },
    proxyPaths: [defaultStateDirectory(terminal), ...(await held.ownPaths())],
    ...{ ports: wish.ports, hostPorts: wish.hostPorts, hide: wish.hide, show: wish.show },
    log: logTo(wish.logFile),
    tell: (words: string) => terminal.complain(`countersign: ${words}\n`),
  };
}

function logTo(file: string | null): (line: string) => void {
  return file === null ? () => {} : (line) => appendFileSync(file, `${line}\n`, { mode: 0o600 });
}
