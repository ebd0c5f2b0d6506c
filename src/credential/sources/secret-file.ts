/**
 * Duty: a file with a secret that somebody else writes.
 * In → Out: path → the bytes of one version of it, in a buffer that the caller zeroes, and what identifies that version.
 * Holds: a regular file of this process's user or of root that nobody else can read, in a folder in which nobody else can
 *   replace it; a symbolic link may not leave its folder (a Kubernetes volume links `key` to `..data/key`); what changes
 *   while it is read is read again, and what was written a moment ago is waited for.
 * Fails: `credential_unavailable` (absent, unreadable, being written), `credential_invalid` (owner, mode, kind, size).
 * Threat: who may write a folder further up can replace all of it; that is not looked at.
 */
import type { BigIntStats } from 'node:fs';
import { constants, type FileHandle, lstat, open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes } from '../../core/secret.ts';

export interface SecretFileRules {
  readonly ownUid: number;
  /** Its group may read it. */
  readonly isGroupReadable: boolean;
  readonly clock: Clock;
}

export interface SecretFile {
  /** The caller zeroes them. */
  readonly bytes: Buffer;
  /** Changes with every version. */
  readonly identity: string;
}

export const MAX_SECRET_FILE_BYTES = 64 * 1024;
const MAX_TRIES = 20;
/** A file that was written within this time may still be being written. */
const FRESH_MS = 2000;
const PAUSE_MS = 100;
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const invalid = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the file of the credential source ${what}` });
const unavailable = (what: string, cause?: unknown): EgressError =>
  new EgressError('credential_unavailable', {
    detail: `the file of the credential source ${what}`,
    cause,
    retryAfterMs: 1000,
  });

/** Of the version that is there now; null where none can be seen. */
export async function identityOf(path: string): Promise<string | null> {
  try {
    return identityIn(await stat(path, { bigint: true }));
  } catch {
    return null;
  }
}

/** @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function readSecretFile(path: string, rules: SecretFileRules, signal: AbortSignal): Promise<SecretFile> {
  for (let tries = 0; tries < MAX_TRIES && !signal.aborted; tries++) {
    const file = await readOnce(path, rules).catch((thrown: unknown) => {
      throw thrown instanceof EgressError ? thrown : unavailable(whyNot(thrown), thrown);
    });
    if (file !== null) return file;
    await pause(rules.clock);
  }
  throw unavailable('is being written');
}

const pause = (clock: Clock): Promise<void> => new Promise((resolve) => void clock.schedule(PAUSE_MS, resolve));

/** Null where it is changing. */
async function readOnce(path: string, rules: SecretFileRules): Promise<SecretFile | null> {
  const target = await trustedTarget(path, rules);
  const handle = await open(target, OPEN);
  try {
    const before = await handle.stat({ bigint: true });
    assertOwn(before, rules);
    const bytes = await readAll(handle, Number(before.size));
    const identity = identityIn(before);
    const isWhole = bytes !== null && identityIn(await handle.stat({ bigint: true })) === identity;
    if (isWhole && (await isSettled(path, before, rules.clock))) return { bytes, identity };
    bytes?.fill(0);
    return null;
  } finally {
    await handle.close();
  }
}

/** The path without links. @throws EgressError `credential_invalid`. */
async function trustedTarget(path: string, rules: SecretFileRules): Promise<string> {
  const folder = await realpath(dirname(path));
  const named = join(folder, basename(path));
  const target = await realpath(named);
  if (!target.startsWith(folder.endsWith(sep) ? folder : folder + sep))
    throw invalid('is a symbolic link that leaves its folder; name the file itself');
  if (target !== named) assertOwner(await lstat(named, { bigint: true }), rules.ownUid);
  for (const each of new Set([folder, dirname(target)])) {
    if (isReplaceable(await stat(each, { bigint: true }), rules.ownUid))
      throw invalid('lies in a folder in which others can replace it; make it 0700 and your own');
  }
  return target;
}

/** Others can put another file where one lies in this folder; in a sticky one only the file's owner can. */
export function isReplaceable({ mode, uid }: BigIntStats, ownUid: number): boolean {
  return ((mode & 0o022n) !== 0n && (mode & 0o1000n) === 0n) || !isTrusted(uid, ownUid);
}

function assertOwn(facts: BigIntStats, { ownUid, isGroupReadable }: SecretFileRules): void {
  if (!facts.isFile()) throw invalid('is no regular file');
  assertOwner(facts, ownUid);
  if ((facts.mode & (isGroupReadable ? 0o037n : 0o077n)) !== 0n)
    throw invalid(
      isGroupReadable
        ? 'may be used by others, or changed by its group; run chmod 0440 on it'
        : 'may be used by its group or by others; run chmod 0400 on it, or write groupReadable: true for a mode of 0440',
    );
  if (facts.size > BigInt(MAX_SECRET_FILE_BYTES)) throw invalid(`is larger than ${MAX_SECRET_FILE_BYTES / 1024} KiB`);
}

function assertOwner({ uid }: BigIntStats, ownUid: number): void {
  if (!isTrusted(uid, ownUid)) throw invalid(`belongs to uid ${uid}; let it belong to uid ${ownUid} or to root`);
}

const isTrusted = (uid: bigint, ownUid: number): boolean => uid === BigInt(ownUid) || uid === 0n;

/** Null where it has another size by now. */
async function readAll(handle: FileHandle, size: number): Promise<Buffer | null> {
  // One more, to see that it does not go on.
  const bytes = allocateSecretBytes(size + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    length += bytesRead;
    if (bytesRead === 0 || length === bytes.length) break;
  }
  if (length === size) return bytes.subarray(0, size);
  bytes.fill(0);
  return null;
}

/** Nobody has touched it for a while, or for a moment that was waited for. */
async function isSettled(path: string, facts: BigIntStats, clock: Clock): Promise<boolean> {
  const ageMs = clock.now() - Number(facts.mtimeMs);
  if (ageMs > FRESH_MS) return true;
  await pause(clock);
  return (await identityOf(path)) === identityIn(facts);
}

const identityIn = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':');

function whyNot(thrown: unknown): string {
  const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
  return code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`;
}
