/**
 * Duty: why there can be no jail here, in a sentence that names what to set or to install.
 * In → Out: a system → its tools, or a refusal.
 * Holds: what the jail will do is tried once before anything depends on it; nothing is left of the trial.
 * Source: user_namespaces(7); sysctl names of Debian, of Ubuntu 23.10 and newer, and of the kernel.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { join } from 'node:path';
import type { Tools } from './words.ts';

/** Said to the user as it is; `run --jail=try` goes on without a jail. */
export class JailUnavailable extends Error {
  override readonly name = 'JailUnavailable';
}

/** Programs of an administrator are not in everybody's PATH. */
const SYSTEM_PATH = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
const PACKAGES: Readonly<Record<keyof Tools, string>> = {
  ip: 'iproute2 (Fedora: iproute)',
  mount: 'mount (Fedora, Arch, Alpine: util-linux)',
  unshare: 'util-linux',
  setpriv: 'util-linux (Alpine: setpriv)',
  setsid: 'util-linux',
  shell: 'dash',
};

const TRIAL_MS = 10_000;
const NO_NETWORK = 31;
const NO_PROC = 32;
const NO_SECOND_NAMESPACE = 33;
const TRIAL = [
  `"$1" link set lo up || exit ${NO_NETWORK}`,
  `"$2" -n -t proc proc /proc || exit ${NO_PROC}`,
  `"$3" --user --map-user=1 --map-group=1 -- "$4" --no-new-privs -- true || exit ${NO_SECOND_NAMESPACE}`,
].join('; ');

/** The flags of the first namespaces, in which the jail is made. */
export const NAMESPACE_FLAGS = ['--user', '--map-root-user', '--net', '--mount', '--pid', '--ipc', '--fork'] as const;

/** @throws JailUnavailable */
export async function findJail(uid: number, path: string | undefined): Promise<Tools> {
  if (platform() !== 'linux')
    throw new JailUnavailable('a jail needs the namespaces of Linux, and this is another system');
  if (uid === 0)
    throw new JailUnavailable(
      'a jail needs an ordinary user: root in it could still write the files of the system; use sudo -u USER, or su',
    );
  const tools = findTools(path ?? '');
  const { exitCode, said } = await tryOut(tools);
  if (exitCode !== 0) throw new JailUnavailable(whyNot(exitCode, said, readSetting));
  return tools;
}

function findTools(path: string): Tools {
  const folders = [...SYSTEM_PATH, ...path.split(':').filter((folder) => folder.startsWith('/'))];
  const find = (tool: keyof Tools): string => {
    const name = tool === 'shell' ? 'sh' : tool;
    const found = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (found === undefined)
      throw new JailUnavailable(`a jail needs the program ${name}; install the package ${PACKAGES[tool]}`);
    return found;
  };
  return {
    ...{ ip: find('ip'), mount: find('mount'), unshare: find('unshare') },
    ...{ setpriv: find('setpriv'), setsid: find('setsid'), shell: find('shell') },
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function tryOut({ unshare, shell, ip, mount, setpriv }: Tools): Promise<{ exitCode: number; said: string }> {
  const args = [...NAMESPACE_FLAGS, '--', shell, '-c', TRIAL, 'sh', ip, mount, unshare, setpriv];
  return new Promise((resolve) => {
    execFile(unshare, args, { timeout: TRIAL_MS, env: { LC_ALL: 'C' } }, (error, _stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ exitCode, said: stderr.trim().split('\n').at(-1) ?? '' });
    });
  });
}

/** The value of a sysctl, `user/max_user_namespaces`; null where the kernel has none of this name. */
type ReadSetting = (name: string) => string | null;

function readSetting(name: string): string | null {
  try {
    return readFileSync(`/proc/sys/${name}`, 'latin1').trim();
  } catch {
    return null;
  }
}

/** Settings that forbid user namespaces: name, the value that does, what allows them. */
const SETTINGS = [
  ['kernel/unprivileged_userns_clone', '0', 'sudo sysctl kernel.unprivileged_userns_clone=1'],
  ['user/max_user_namespaces', '0', 'sudo sysctl user.max_user_namespaces=16384'],
  ['user/max_net_namespaces', '0', 'sudo sysctl user.max_net_namespaces=16384'],
  [
    'kernel/apparmor_restrict_unprivileged_userns',
    '1',
    'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for unshare with the line "userns,"',
  ],
] as const;

export function whyNot(exitCode: number, said: string, setting: ReadSetting): string {
  const heard = said === '' ? '' : ` (${said})`;
  const wrong = SETTINGS.find(([name, value]) => setting(name) === value);
  if (wrong !== undefined)
    return `this system forbids user namespaces: ${wrong[0].replace('/', '.')} is ${wrong[1]}${heard}; allow them with ${wrong[2]}`;
  if (exitCode === NO_PROC)
    return `this system refuses a /proc of the jail's own${heard}, as in a container where parts of /proc are masked; with Docker: --security-opt systempaths=unconfined`;
  if (exitCode === NO_NETWORK) return `this system gives a user namespace no power over its network${heard}`;
  if (/unrecognized option|invalid option/.test(said))
    return `the programs unshare and setpriv are too old or not those of util-linux${heard}; install util-linux 2.36 or newer`;
  return `this system forbids user namespaces${heard}; in a container its seccomp profile must allow unshare, clone and mount (Docker: --security-opt seccomp=unconfined)`;
}
