/**
 * Duty: the program that makes the jail from within, then becomes its first process, which reaps orphans until the command ends.
 * In → Out: orders from `run` outside → sockets for it, mounts, and the command as the user itself.
 * Holds: nothing of this program is left when the command starts: it has become a shell that waits, in the user namespace above
 *   the command's, where the command may neither trace it nor look at its descriptors; the channel is closed at both ends; no
 *   descriptor but the standard ones goes on.
 * Fails: each failure is one sentence to `run`, and the exit code that it wants.
 * Source: user_namespaces(7), pid_namespaces(7) (process 1 takes no signal from inside that it has no handler for).
 */
import { accessSync, closeSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry, FromInside, ToInside, Tools } from '../words.ts';
import { filterCalls } from './call-filter.ts';
import { Mounts } from './mounts.ts';
import { bringUp, type OpenSocket, openSockets } from './network.ts';

const NO_SUCH_COMMAND = 127;
const NOT_EXECUTABLE = 126;
const UNABLE = 70;

/**
 * Says nothing of its own about how the command ended: `run` has its code. Descriptor 9 ends with the shell. An interrupt of the
 * terminal is the command's alone; without the trap a shell ends by it when its child is done.
 */
const REAPER = 'trap : INT; exec 9>&2 2>/dev/null; (exec "$@" 2>&9 9>&-); exit $?';

const [FIRST_FOREIGN_FD, CLOSE_ON_EXEC] = [3, 0o2_000_000];

process.on('message', (words: ToInside) => {
  void (words.say === 'listen' ? listen(words) : enter(words.entry)).catch((error: unknown) =>
    fail(error instanceof Error ? error.message : String(error)),
  );
});
process.once('disconnect', () => become?.());

let tools: Tools | null = null;
let become: (() => void) | null = () => process.exit(UNABLE);

async function listen(order: Extract<ToInside, { say: 'listen' }>): Promise<void> {
  tools = order.tools;
  const refused = bringUp(tools);
  if (refused !== null) return fail(`the network of the jail: ${refused}`);
  for (const open of await openSockets(order.ports, order.hostPorts)) await hand(open);
  await say({ say: 'listening' });
}

async function hand({ role, port, socket }: OpenSocket): Promise<void> {
  await say({ say: 'socket', role, port }, socket);
  socket.close();
}

async function enter(entry: Entry): Promise<void> {
  if (tools === null) return;
  new Mounts(tools, entry.plan).lay(entry.root);
  process.chdir(entry.workingDirectory);
  const missing = lookFor(entry.command, entry.environment['PATH']);
  if (missing !== null) return fail(`cannot run ${entry.command}: ${missing.why}`, missing.exitCode);
  const hasCallFilter = await filterCalls();
  const hasOwnSession = entry.isTerminalOpen && !hasCallFilter;
  const words = commandLine(tools, entry, hasOwnSession);
  const shell = tools.shell;
  become = () => {
    for (const fd of foreignDescriptors()) closeSync(fd);
    process.umask(entry.umask);
    process.execve?.(shell, ['sh', '-c', REAPER, 'sh', ...words], { ...entry.environment });
  };
  await say({ say: 'ready', hasCallFilter, hasOwnSession });
}

/** One more user namespace, which owns neither network nor mounts; in it the user is the user, and nobody becomes more. */
function commandLine({ unshare, setpriv, setsid }: Tools, entry: Entry, hasOwnSession: boolean): string[] {
  const { uid, gid, command, args } = entry;
  return [
    ...[unshare, '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--'],
    ...[setpriv, '--no-new-privs', '--inh-caps=-all', '--'],
    ...(hasOwnSession ? [setsid, '--'] : []),
    ...[command, ...args],
  ];
}

/** As execvp(3) does; null where it is there. */
function lookFor(command: string, path = '/usr/local/bin:/usr/bin:/bin'): { why: string; exitCode: number } | null {
  const candidates = command.includes('/') ? [command] : path.split(':').map((folder) => join(folder || '.', command));
  let isThere = false;
  for (const candidate of candidates) {
    try {
      if (!statSync(candidate).isFile()) continue;
      isThere = true;
      accessSync(candidate, constants.X_OK);
      return null;
    } catch {
      // The next one.
    }
  }
  return isThere
    ? { why: 'it is not executable', exitCode: NOT_EXECUTABLE }
    : { why: 'no such command in the jail; where it is hidden, give --jail-show', exitCode: NO_SUCH_COMMAND };
}

/** Of whoever started `run` with more than the standard ones; Node's own end by themselves. */
function foreignDescriptors(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      if (fd < FIRST_FOREIGN_FD) return false;
      try {
        const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
        return (Number.parseInt(flags?.[1] ?? '0', 8) & CLOSE_ON_EXEC) === 0;
      } catch {
        return false;
      }
    });
}

function say(words: FromInside, handle?: OpenSocket['socket']): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(words, handle, {}, (error) => (error === null ? resolve() : reject(error)));
  });
}

function fail(words: string, exitCode = UNABLE): void {
  become = () => process.exit(UNABLE);
  void say({ say: 'failed', words, exitCode });
}
