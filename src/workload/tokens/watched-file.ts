/**
 * Duty: a small file that others replace while the proxy runs.
 * In → Out: path → what its text means now.
 * Holds: read again when it has changed; a file that cannot be read or understood means nothing, an old text does not live on.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';

const MAX_BYTES = 1024 * 1024;

export class WatchedFile<T> {
  readonly #path: string;
  readonly #read: (text: string) => T;
  #seen: { readonly stamp: string; readonly value: T | null } | null = null;

  /** What `read` throws makes the file mean nothing. */
  constructor(path: string, read: (text: string) => T) {
    this.#path = path;
    this.#read = read;
  }

  /** Null where it means nothing. The same object while the file stays the same. */
  current(): T | null {
    const stamp = this.#stamp();
    if (stamp === null) this.#seen = null;
    else if (this.#seen?.stamp !== stamp) this.#seen = this.#load();
    return this.#seen?.value ?? null;
  }

  #stamp(): string | null {
    try {
      const facts = statSync(this.#path, { bigint: true });
      // A pipe would hold up the whole process.
      return facts.isFile() ? stampOf(facts) : null;
    } catch {
      return null;
    }
  }

  #load(): { readonly stamp: string; readonly value: T | null } | null {
    let fd: number;
    try {
      fd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      return null;
    }
    try {
      const facts = fstatSync(fd, { bigint: true });
      const isSmall = facts.isFile() && facts.size <= MAX_BYTES;
      return { stamp: stampOf(facts), value: isSmall ? this.#understand(readFileSync(fd, 'utf8')) : null };
    } finally {
      closeSync(fd);
    }
  }

  #understand(text: string): T | null {
    try {
      return this.#read(text);
    } catch {
      return null;
    }
  }
}

type Facts = { readonly ino: bigint; readonly mtimeNs: bigint; readonly size: bigint };
const stampOf = ({ ino, mtimeNs, size }: Facts): string => `${ino}:${mtimeNs}:${size}`;
