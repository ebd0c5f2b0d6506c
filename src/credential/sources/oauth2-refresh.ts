/**
 * Duty: the refresh token of a source, as it is now.
 * In → Out: the one that the user gave → the one that counts; a new one → kept in the state folder.
 * Holds: one use at a time, since a server may give a new one for each; a new one is on the disk, whole and with mode 0600,
 *   before the next use. As soon as the user gives another one, that counts and what was kept is forgotten.
 * Fails: as kept-secret.ts.
 * Source: RFC 6749 §6; RFC 9700 §4.14 (rotation).
 * Threat: between the answer and the disk a crash loses the new one; then the user has to give another.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EgressError, toEgressError } from '../../core/errors.ts';
import { allocateSecretBytes, Secret } from '../../core/secret.ts';
import type { KeptSecret } from '../options.ts';
import { type KeptSecretParts, keptSecret } from './kept-secret.ts';
import { readSecretFile } from './secret-file.ts';
import type { SourceParts } from './source-parts.ts';

export type RefreshParts = KeptSecretParts & Pick<SourceParts, 'stateDirectory' | 'onSourceEvent'>;

const HASH_LENGTH = 64;
const LF = 0x0a;
const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

export class RefreshToken {
  readonly #source: string;
  readonly #place: KeptSecret;
  readonly #parts: RefreshParts;
  readonly #path: string;
  /** `from`: SHA-256 of the one that the user gave, which it goes back to. */
  #current: { readonly from: string; readonly token: Secret } | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: string, place: KeptSecret, parts: RefreshParts) {
    this.#source = source;
    this.#place = place;
    this.#parts = parts;
    this.#path = join(parts.stateDirectory, 'oauth2', `${digestOf(Buffer.from(source)).slice(0, 32)}.refresh`);
  }

  /** `task` gets the token of now, and hands a new one to `keep`, which takes it. One task at a time. */
  use<T>(signal: AbortSignal, task: (token: Secret, keep: (next: Secret) => Promise<void>) => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      const { from, token } = await this.#load(signal);
      return task(token, (next) => this.#keep(from, next));
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #load(signal: AbortSignal): Promise<{ readonly from: string; readonly token: Secret }> {
    const given = await keptSecret(this.#place, this.#parts, signal);
    const from = digestOf(given.reveal());
    if (this.#current?.from === from) {
      given.destroy();
      return this.#current;
    }
    this.#current?.token.destroy();
    const stored = await this.#stored(from, signal);
    if (stored !== null) given.destroy();
    this.#current = { from, token: stored ?? given };
    return this.#current;
  }

  /** Null where nothing is stored that goes back to this one. */
  async #stored(from: string, signal: AbortSignal): Promise<Secret | null> {
    const { ownUid, clock } = this.#parts;
    const rules = { ownUid, clock, isGroupReadable: false };
    let bytes: Buffer;
    try {
      ({ bytes } = await readSecretFile(this.#path, rules, signal));
    } catch (thrown) {
      const cause = toEgressError(thrown).cause as NodeJS.ErrnoException | undefined;
      if (cause?.code === 'ENOENT') return null;
      throw thrown;
    }
    try {
      const isWhole = bytes.length > HASH_LENGTH + 1 && bytes[HASH_LENGTH] === LF;
      return isWhole && bytes.toString('latin1', 0, HASH_LENGTH) === from
        ? Secret.copyOf(bytes.subarray(HASH_LENGTH + 1))
        : null;
    } finally {
      bytes.fill(0);
    }
  }

  async #keep(from: string, next: Secret): Promise<void> {
    this.#current?.token.destroy();
    this.#current = { from, token: next };
    try {
      await this.#write(from, next);
    } catch (cause) {
      // It is good as long as this process lives; somebody must hear of it.
      const error = new EgressError('internal', { detail: 'the new refresh token could not be written', cause });
      this.#parts.onSourceEvent?.({ source: this.#source, kind: 'refresh_token_not_stored', count: 0, error });
    }
  }

  async #write(from: string, token: Secret): Promise<void> {
    const bytes = allocateSecretBytes(HASH_LENGTH + 1 + token.byteLength);
    bytes.write(`${from}\n`, 'latin1');
    bytes.set(token.reveal(), HASH_LENGTH + 1);
    const folder = dirname(this.#path);
    await mkdir(folder, { mode: 0o700 }).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EEXIST') throw thrown;
    });
    const draft = `${this.#path}.${randomBytes(6).toString('hex')}.new`;
    try {
      const handle = await open(draft, CREATE, 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        bytes.fill(0);
        await handle.close();
      }
      await rename(draft, this.#path);
      await syncFolder(folder);
    } catch (thrown) {
      await unlink(draft).catch(() => {});
      throw thrown;
    }
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  await handle.sync().finally(() => handle.close());
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
