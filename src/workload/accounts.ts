/**
 * Duty: names of local users and groups.
 * In → Out: uid or gid → name, name of a group → gid, from /etc/passwd and /etc/group as they are now.
 * Source: passwd(5), group(5). Directory services (NSS) are not asked: that would put a network call on the way.
 */
import { readFileSync, statSync } from 'node:fs';
import type { AccountNames } from './attestors/local-process.ts';

export function createAccountNames(passwd = '/etc/passwd', group = '/etc/group'): AccountNames {
  const users = new AccountTable(passwd);
  const groups = new AccountTable(group);
  return { userName: (uid) => users.nameOf(uid), groupName: (gid) => groups.nameOf(gid) };
}

/** The number of a group, by its name or by the number itself; null where there is no such group. */
export function groupId(group: string, file = '/etc/group'): number | null {
  if (/^[0-9]+$/.test(group)) return Number(group);
  try {
    for (const [id, name] of namesIn(readFileSync(file, 'utf8'))) if (name === group) return id;
  } catch {
    // No such file: no such group.
  }
  return null;
}

/** Null where there is no such user. */
export function userIdOf(user: string, passwd = '/etc/passwd'): number | null {
  try {
    const [found] = [...namesIn(readFileSync(passwd, 'utf8'))].filter(([, name]) => name === user);
    return found?.[0] ?? null;
  } catch {
    return null;
  }
}

class AccountTable {
  readonly #path: string;
  #readAtMs = -1;
  #names = new Map<number, string>();

  constructor(path: string) {
    this.#path = path;
  }

  nameOf(id: number): string | null {
    try {
      const changed = statSync(this.#path).mtimeMs;
      if (changed !== this.#readAtMs) this.#names = namesIn(readFileSync(this.#path, 'utf8'));
      this.#readAtMs = changed;
    } catch {
      return null;
    }
    return this.#names.get(id) ?? null;
  }
}

/** `name:x:1001:…` */
function namesIn(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id !== undefined && /^[0-9]+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
