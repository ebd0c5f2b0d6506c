/**
 * Duty: a small secret file that must outlive the process: written or replaced whole, or not at all.
 * Holds: mode 0400; owner is this process's user; never followed through a symbolic link; a crash leaves the old file or the new.
 * Fails: `configuration_invalid` where owner or mode would let somebody else read or replace it.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { EgressError } from '../core/errors.ts';

/**
 * The directory and those above it, mode 0700 where they had to be made. Step by step: Node's own recursion never ends where the
 * kernel denies that a folder exists, as in /proc.
 * @throws EgressError `configuration_invalid`.
 */
export function makeStateDirectory(path: string): void {
  if (existsSync(path)) return;
  makeStateDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    // Another process may have been faster.
    if (existsSync(path)) return;
    throw new EgressError('configuration_invalid', {
      detail: `cannot make the folder ${path} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}); choose another with COUNTERSIGN_STATE_DIR or stateDirectory`,
      cause,
    });
  }
}

/**
 * The file's bytes; null where there is no file.
 * @throws EgressError `configuration_invalid` for a link, another owner, or a mode that group or others may use.
 */
export function readKeyFile(path: string, ownUid: number): Buffer | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new EgressError('configuration_invalid', {
      detail: `cannot read the key file ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`,
      cause: error,
    });
  }
  try {
    const facts = fstatSync(fd);
    if (facts.uid !== ownUid)
      throw new EgressError('configuration_invalid', {
        detail: `${path} belongs to uid ${facts.uid}, not to uid ${ownUid}; run as its owner, or give it to uid ${ownUid} with chown`,
      });
    if ((facts.mode & 0o077) !== 0)
      throw new EgressError('configuration_invalid', {
        detail: `${path} may be used by group or others; run chmod 0400 on it`,
      });
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Reads the file, or makes it from `create`. Two processes that race end with the same bytes. */
export function openKeyFile(path: string, ownUid: number, create: () => Buffer): Buffer {
  const present = readKeyFile(path, ownUid);
  if (present !== null) return present;
  makeStateDirectory(dirname(path));
  placeKeyFile(path, create(), 0o400);
  const placed = readKeyFile(path, ownUid);
  if (placed === null) throw new EgressError('configuration_invalid', { detail: `${path} vanished while it was made` });
  return placed;
}

/** The file holds `bytes` and nothing of before when this returns, or all of before when it throws. */
export function replaceKeyFile(path: string, bytes: Buffer, mode: number): void {
  const draft = writeDraft(path, bytes, mode);
  try {
    renameSync(draft, path);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  }
  syncFolder(dirname(path));
}

/** Writes a new file beside `path`, syncs it and links it into place; keeps a file that another process placed first. */
export function placeKeyFile(path: string, bytes: Buffer, mode: number): void {
  const draft = writeDraft(path, bytes, mode);
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
}

/** A whole file beside `path`, synced; its path. */
function writeDraft(path: string, bytes: Buffer, mode: number): string {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  const fd = openSync(draft, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, mode);
  try {
    fchmodSync(fd, mode);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  } finally {
    closeSync(fd);
  }
  return draft;
}

/** Without it a crash of the machine could take the name back. */
function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
