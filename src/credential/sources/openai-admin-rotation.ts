/**
 * Duty: replaces the admin key when it is old enough.
 * In → Out: the file's key → a new one at OpenAI and in the file; at a later pass the old one is deleted.
 * Holds: no journal: a key that we make is named after the id of the one before it, so each pass finds what an earlier one left
 *   half done. The old key goes only when a listing with the new one worked. The file changes whole or not at all, and two
 *   proxies with one file do not replace its key at once.
 * Fails: throws nothing; tells what went wrong.
 * Not here: when a pass is made (openai-admin-sweep.ts).
 */
import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { EgressError, toEgressError } from '../../core/errors.ts';
import { allocateSecretBytes, type Secret } from '../../core/secret.ts';
import type { SourceEvent } from '../source.ts';
import type { AdminKeyFacts, OpenaiAccount, OpenaiAdminApi } from './openai-admin-api.ts';
import { type AdminKeyFile, readAdminKey } from './openai-admin-key.ts';

export interface RotationParts {
  readonly api: OpenaiAdminApi;
  readonly clock: Clock;
  readonly file: AdminKeyFile;
  /** Null: never. */
  readonly rotateEveryMs: number | null;
  readonly observe: (event: Omit<SourceEvent, 'source'>) => void;
}

const MAX_PAGES = 50;
/** No pass takes so long: what one left behind is older. */
const PASS_MS = 10 * 60_000;

const wrong = (detail: string): EgressError => new EgressError('configuration_invalid', { detail });
const successorOf = (id: string): string => `countersign-after-${id}`;

/** One pass. Resolves in any case. */
export async function rotateAdminKey(parts: RotationParts, signal: AbortSignal): Promise<void> {
  if (parts.rotateEveryMs === null) return;
  try {
    if (await pass(parts, parts.rotateEveryMs, signal))
      parts.observe({ kind: 'admin_key_rotated', count: 0, error: null });
  } catch (thrown) {
    if (!signal.aborted)
      parts.observe({ kind: 'admin_key_rotation_failed', count: 0, error: toEgressError(withoutPath(thrown)) });
  }
}

/** Whether the key was replaced. */
async function pass(parts: RotationParts, everyMs: number, signal: AbortSignal): Promise<boolean> {
  const { api, file } = parts;
  const { key, id } = await readAdminKey(file, signal);
  try {
    if (id === null) throw wrong('to be rotated, the file of the admin key needs the id of the key in its second line');
    const { keys, now } = await allKeys(parts, key, signal);
    const own = keys.find((each) => each.id === id);
    if (own === undefined) throw wrong('the second line of the file of the admin key names no key of the organization');
    for (const each of keys) {
      const isBefore = own.name === successorOf(each.id);
      const isLost = each.name === successorOf(id) && each.createdAt + PASS_MS <= now;
      if (each.id !== id && (isBefore || isLost)) await api.deleteAdminKey(key, each.id, signal);
    }
    return now - own.createdAt >= everyMs && (await replace(parts, key, id, signal));
  } finally {
    key.destroy();
  }
}

async function allKeys(
  { api, clock }: RotationParts,
  key: Secret,
  signal: AbortSignal,
): Promise<{ readonly keys: readonly AdminKeyFacts[]; readonly now: number }> {
  const keys: AdminKeyFacts[] = [];
  let after: string | null = null;
  let now = clock.now();
  for (let page = 0; page < MAX_PAGES; page++) {
    const listing = await api.listAdminKeys(key, after, signal);
    keys.push(...listing.items);
    now = listing.serverNow ?? now;
    after = listing.after;
    if (after === null) break;
  }
  return { keys, now };
}

/** False where somebody else is at it. */
async function replace(
  { api, file, clock }: RotationParts,
  key: Secret,
  id: string,
  signal: AbortSignal,
): Promise<boolean> {
  const target = await realpath(file.path);
  const draft = `${target}.next`;
  const lock = await lockAt(draft, target, clock.now());
  if (lock === null) return false;
  let isPlaced = false;
  try {
    const present = await readAdminKey(file, signal);
    present.key.destroy();
    if (present.id !== id) return false;
    // Not given up half way: a key that nobody wrote down can only be deleted again.
    const made = await api.createAdminKey(key, successorOf(id), new AbortController().signal, () => {});
    await writeKey(lock, made);
    await rename(draft, target);
    isPlaced = true;
    await syncFolder(dirname(target));
    return true;
  } finally {
    await lock.close();
    if (!isPlaced) await unlink(draft).catch(() => {});
  }
}

/** The draft of the new file is the lock. What a crash left of one is taken away, and the next pass has it. */
async function lockAt(draft: string, target: string, now: number): Promise<FileHandle | null> {
  const { mode } = await stat(target);
  try {
    return await open(draft, 'wx', mode & 0o740);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    const left = await stat(draft).catch(() => null);
    if (left !== null && now - left.mtimeMs > PASS_MS) await unlink(draft);
    return null;
  }
}

async function writeKey(file: FileHandle, { id, key }: OpenaiAccount): Promise<void> {
  const end = Buffer.from(`\n${id}\n`, 'latin1');
  const bytes = allocateSecretBytes(key.byteLength + end.length);
  try {
    bytes.set(key.reveal());
    bytes.set(end, key.byteLength);
    await file.write(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    bytes.fill(0);
    key.destroy();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A failure of the file system names the file; its code is enough. */
function withoutPath(thrown: unknown): unknown {
  if (thrown instanceof EgressError) return thrown;
  const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
  return wrong(`the new admin key cannot be written beside the old one (${code}); is the folder writable?`);
}
