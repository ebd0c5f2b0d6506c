/**
 * Duty: the mounts of this namespace, and under which other paths the same place can be reached.
 * In → Out: the text of /proc/self/mountinfo → mounts; a path → its other paths.
 * Source: proc_pid_mountinfo(5).
 */

export interface SeenMount {
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system is mounted. */
  readonly root: string;
  readonly at: string;
  /** Of the mount itself, `rw,nosuid,relatime`. */
  readonly flags: readonly string[];
}

/** Blanks and backslashes stand there as three octal digits. */
const unescapeText = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

export function parseMountTable(text: string): SeenMount[] {
  return text.split('\n').flatMap((line) => {
    const [, , device, root, at, flags] = line.split(' ');
    if (device === undefined || root === undefined || at === undefined) return [];
    return [{ device, root: unescapeText(root), at: unescapeText(at), flags: (flags ?? '').split(',') }];
  });
}

const rest = (path: string, folder: string): string | null =>
  folder === '/' ? path : path === folder ? '' : path.startsWith(`${folder}/`) ? path.slice(folder.length) : null;
const below = (folder: string, path: string): string => (folder === '/' ? path || '/' : `${folder}${path}`);

/** Where else the file system of `path` shows the same place; a later mount may cover it. */
export function otherPathsOf(path: string, mounts: readonly SeenMount[]): string[] {
  let own: SeenMount | null = null;
  // Of two at the same place the later one covers the earlier.
  for (const mount of mounts)
    if (rest(path, mount.at) !== null && (own === null || mount.at.length >= own.at.length)) own = mount;
  if (own === null) return [];
  const inside = below(own.root, rest(path, own.at) ?? '');
  const found = mounts.flatMap((mount) => {
    const behind = mount.device === own.device ? rest(inside, mount.root) : null;
    return behind === null ? [] : [below(mount.at, behind === '/' ? '' : behind)];
  });
  return [...new Set(found)].filter((other) => other !== path);
}
