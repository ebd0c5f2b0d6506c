/**
 * Duty: what a MountPlan must know of this machine.
 * Holds: looks, changes nothing; what cannot be looked at counts as not there.
 * Source: proc_net_unix: sockets of this network namespace, with their paths.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import type { Look } from './mount-plan.ts';
import { parseMountTable, type SeenMount } from './mount-table.ts';

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

export const look: Look = {
  kindOf: (path) => orNull(() => (statSync(path).isDirectory() ? 'folder' : 'file')),
  realPath: (path) => orNull(() => realpathSync(path)),
  isPrivate: (path) => orNull(() => (statSync(path).mode & 0o077) === 0) ?? false,
  namesIn: (path) => orNull(() => readdirSync(path)) ?? [],
  linkTarget: (path) => orNull(() => (lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null)),
};

export const seenMounts = (): SeenMount[] =>
  parseMountTable(orNull(() => readFileSync('/proc/self/mountinfo', 'utf8')) ?? '');

/** Of sockets with a path, whoever made them; abstract ones belong to the network namespace. */
export const seenSockets = (): string[] => parseSockets(orNull(() => readFileSync('/proc/net/unix', 'utf8')) ?? '');

export function parseSockets(text: string): string[] {
  const paths = text.split('\n').flatMap((line) => /^[^/@]*[0-9] (\/.*)$/.exec(line)?.[1] ?? []);
  return [...new Set(paths)];
}

/** Whether a program may type into its terminal: the kernel says no from 6.2 on, where it is set so. */
export const isTypingAllowed = (): boolean =>
  orNull(() => readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'latin1'))?.trim() !== '0';
