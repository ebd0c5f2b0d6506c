/**
 * Duty: a file in memory that one user may read.
 * In → Out: path, bytes, uid → the file, mode 0400, whole at every moment; later another in its place, or none.
 * Holds: tmpfs only; no link is followed; nobody but root and the proxy's user can change a folder on the way; a file that the
 *   proxy did not write is not replaced; what a proxy left behind that was killed is removed at the next start.
 * Fails: `configuration_invalid`, with the next step.
 * Threat: whoever has the owner's uid, or root, reads it; tmpfs may be swapped out, so encrypt or turn off swap.
 * Not here: what stands in it (content.ts), when (delivery.ts).
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EgressError } from '../core/errors.ts';

/** Which files are there, for the start after a crash. Paths, nothing secret. */
export interface DeliveryJournal {
  read(): readonly string[];
  write(paths: readonly string[]): void;
}

/** Linux, statfs(2): tmpfs and ramfs. */
const MEMORY_TYPES: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6]);
const WRITABLE_BY_OTHERS = 0o022;
const PASSABLE_BY_OTHERS = 0o011;
const STICKY = 0o1000;
const FILE_MODE = 0o400;
/** To be passed by everybody and listed by nobody. */
const FOLDER_MODE = 0o711;

const refused = (detail: string, cause?: unknown): EgressError =>
  new EgressError('configuration_invalid', { detail, cause });
const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';

export const isInMemory = (folder: string): boolean => {
  try {
    return MEMORY_TYPES.has(statfsSync(folder).type);
  } catch {
    return false;
  }
};

export class PrivateFiles {
  readonly #ownUid: number;
  readonly #journal: DeliveryJournal;
  readonly #written = new Set<string>();

  /** Removes what an earlier proxy of this state folder left behind. */
  constructor(ownUid: number, journal: DeliveryJournal) {
    this.#ownUid = ownUid;
    this.#journal = journal;
    const left = journal.read();
    for (const path of left) removeLeft(path, ownUid);
    if (left.length > 0) journal.write([]);
  }

  /** Makes the folder and tries it out; the path as it is without links. @throws EgressError `configuration_invalid`. */
  prepare(path: string, uid: number): string {
    const folder = this.#folderOf(dirname(path), uid);
    const real = join(folder, basename(path));
    this.#assertFree(real, 'file');
    const draft = this.#draft(real, Buffer.alloc(0), uid);
    unlinkSync(draft);
    return real;
  }

  /** As `prepare`, for a socket, which need not be on a tmpfs: it holds nothing. @throws EgressError `configuration_invalid`. */
  prepareSocket(path: string): string {
    const real = join(this.#folderOf(dirname(path), this.#ownUid, true, false), basename(path));
    this.#assertFree(real, 'socket');
    return real;
  }

  /** What is to be removed after a crash. */
  enter(path: string): void {
    if (this.#written.has(path)) return;
    this.#written.add(path);
    this.#journal.write([...this.#written]);
  }

  /** `path` as `prepare` gave it. Readers see the file of before or this one, never a part. */
  write(path: string, bytes: Buffer, uid: number): void {
    this.enter(path);
    const draft = this.#draft(path, bytes, uid);
    try {
      renameSync(draft, path);
    } catch (thrown) {
      unlinkSync(draft);
      throw refused(`${path} cannot be written (${codeOf(thrown)})`, thrown);
    }
  }

  /** Whoever has it open can still read it. */
  remove(path: string): void {
    if (!this.#written.delete(path)) return;
    unlinkIfThere(path);
    this.#journal.write([...this.#written]);
  }

  #assertFree(path: string, way: 'file' | 'socket'): void {
    if (!this.#written.has(path) && lstatSync(path, { throwIfNoEntry: false }) !== undefined)
      throw refused(`${path} is there already and not ours; remove it, or name another propagation.${way}.path`);
  }

  #draft(path: string, bytes: Buffer, uid: number): string {
    const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.new`);
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    let fd: number | null = null;
    try {
      fd = openSync(draft, flags, 0o600);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fchmodSync(fd, FILE_MODE);
      if (uid !== this.#ownUid) fchownSync(fd, uid, -1);
      return draft;
    } catch (thrown) {
      if (fd !== null) unlinkSync(draft);
      if (codeOf(thrown) === 'EPERM')
        throw refused(
          `the proxy runs as uid ${this.#ownUid} and may give no file to uid ${uid}: run it as root or with CAP_CHOWN, run the workload as uid ${this.#ownUid}, or use injection: {}`,
          thrown,
        );
      throw refused(
        `a file cannot be made in ${dirname(path)} (${codeOf(thrown)}); name another propagation.file.path`,
      );
    } finally {
      if (fd !== null) closeSync(fd);
    }
  }

  /** Made where it is missing; without links. */
  #folderOf(folder: string, uid: number, isOwn = true, inMemory = true): string {
    if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) {
      const made = join(this.#folderOf(dirname(folder), uid, false, inMemory), basename(folder));
      if (inMemory && !isInMemory(dirname(made))) throw notInMemory(made);
      try {
        mkdirSync(made, { mode: 0o700 });
        chmodSync(made, FOLDER_MODE);
      } catch (thrown) {
        throw refused(`the folder ${made} cannot be made (${codeOf(thrown)}); make it, or name another path`, thrown);
      }
    }
    const real = realpathSync(folder);
    this.#assertSafe(real, uid, !isOwn);
    if (isOwn && inMemory && !isInMemory(real)) throw notInMemory(real);
    return real;
  }

  /** `mayBeShared`: a folder is to be made in it, which is safe below a sticky one such as /dev/shm. */
  #assertSafe(folder: string, uid: number, mayBeShared: boolean): void {
    const { uid: owner, mode } = lstatSync(folder);
    const isShared = (mode & WRITABLE_BY_OTHERS) !== 0;
    if (owner !== 0 && owner !== this.#ownUid)
      throw refused(
        `${folder} belongs to uid ${owner}, who could put another file in the place of ours; choose a folder of root or of uid ${this.#ownUid}`,
      );
    if (isShared && !(mayBeShared && (mode & STICKY) !== 0))
      throw refused(`others may write into ${folder}; name a file in a folder below it, or run chmod go-w on it`);
    if (uid !== this.#ownUid && uid !== 0 && (mode & PASSABLE_BY_OTHERS) === 0)
      throw refused(`uid ${uid} cannot pass ${folder}; run chmod o+x on it, or name another path`);
    if (folder !== '/') this.#assertSafe(dirname(folder), uid, true);
  }
}

const notInMemory = (folder: string): EgressError =>
  refused(
    `${folder} is not on a tmpfs, so a key would get on a disk; name a path below /dev/shm, or mount a tmpfs there`,
  );

function removeLeft(path: string, ownUid: number): void {
  try {
    const { uid } = lstatSync(dirname(path));
    // A folder that somebody else got meanwhile is not ours to tidy.
    if (uid !== 0 && uid !== ownUid) return;
    const facts = lstatSync(path, { throwIfNoEntry: false });
    if (facts?.isSocket() === true || (facts?.isFile() === true && (facts.mode & 0o777) === FILE_MODE))
      unlinkIfThere(path);
    for (const name of readdirSync(dirname(path)))
      if (isDraftOf(basename(path), name)) unlinkIfThere(join(dirname(path), name));
  } catch {
    // The folder is gone, as after a restart of the machine.
  }
}

const isDraftOf = (file: string, name: string): boolean =>
  name.startsWith(`.${file}.`) && /^[0-9a-f]{12}\.new$/.test(name.slice(file.length + 2));

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown;
  }
}
