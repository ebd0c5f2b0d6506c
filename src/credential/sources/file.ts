/**
 * Duty: a credential in a file, for as long as the file stays as it is.
 * In → Out: the file → parts; another version of the file → `changed`.
 * Holds: while anything of it is in use, it is looked at once a second, by its identity and not by its content.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Not here: who may own it, and torn reads (secret-file.ts); formats (stored.ts).
 */
import type { ScheduledTask } from '../../core/clock.ts';
import type { FileSourceOptions } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { heldGrant, MAX_HELD_MS } from './held.ts';
import { identityOf, readSecretFile } from './secret-file.ts';
import type { SourceParts } from './source-parts.ts';
import { storedParts } from './stored.ts';

export type FileSourceParts = Pick<SourceParts, 'clock' | 'ownUid' | 'changed'>;

const LOOK_EVERY_MS = 1000;

export const createFileSource = (options: FileSourceOptions, parts: FileSourceParts): CredentialSource =>
  new FileSource(options, parts);

class FileSource implements CredentialSource {
  readonly name: string;
  readonly #options: FileSourceOptions;
  readonly #parts: FileSourceParts;
  #inUse = 0;
  /** Of the version that was handed out, or told to be new. */
  #identity: string | null = null;
  #look: ScheduledTask | null = null;
  #isClosed = false;

  constructor(options: FileSourceOptions, parts: FileSourceParts) {
    this.name = options.name;
    this.#options = options;
    this.#parts = parts;
  }

  async fetch(_workload: unknown, signal: AbortSignal): Promise<Grant> {
    const { path, format, fields, isGroupReadable } = this.#options;
    const { clock, ownUid } = this.#parts;
    const { bytes, identity } = await readSecretFile(path, { ownUid, isGroupReadable, clock }, signal);
    const parts = storedParts(bytes, format, fields);
    // What others have may be older than what was read now: then the next look tells.
    if (this.#inUse++ === 0) this.#identity = identity;
    this.#lookLater();
    return heldGrant(parts, clock.monotonicMs() + MAX_HELD_MS, () => void this.#inUse--);
  }

  close(): void {
    this.#isClosed = true;
    this.#look?.cancel();
    this.#look = null;
  }

  #lookLater(): void {
    if (this.#isClosed || this.#look !== null || this.#inUse === 0) return;
    this.#look = this.#parts.clock.schedule(LOOK_EVERY_MS, () => void this.#lookNow());
  }

  async #lookNow(): Promise<void> {
    const identity = await identityOf(this.#options.path);
    this.#look = null;
    // A file that is gone for a moment is being replaced; the next version counts.
    const isOther = identity !== null && identity !== this.#identity;
    if (isOther && !this.#isClosed && this.#inUse > 0) {
      this.#identity = identity;
      this.#parts.changed(this.name);
    }
    this.#lookLater();
  }
}
