/**
 * Duty: SHA-256 of executables.
 * In → Out: /proc/PID/exe → hex, or null.
 * Holds: hashed once per device, inode, modification and change time, from one open file that is the same before and after.
 * Threat: it says which file runs; an interpreter, a preloaded library and a debugger make the same file do anything.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { SlowLane } from './slow-lane.ts';

const MAX_REMEMBERED = 256;
const MAX_BYTES = 1024n ** 3n;
const CHUNK_BYTES = 1024 * 1024;
/** A gibibyte from a slow disk. */
const PATIENCE_MS = 10_000;

export class ExecutableHashes {
  readonly #known = new Map<string, string>();
  readonly #lane = new SlowLane(PATIENCE_MS);

  async of(path: string): Promise<string | null> {
    return this.#lane.run(async () => {
      let file: FileHandle | undefined;
      try {
        // A file that waits for a writer (FIFO) is none that runs, but the link may point elsewhere by now.
        file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
        return await this.#hash(file);
      } catch {
        return null;
      } finally {
        await file?.close();
      }
    });
  }

  async #hash(file: FileHandle): Promise<string | null> {
    const version = await versionOf(file);
    if (version === null) return null;
    const known = this.#known.get(version);
    if (known !== undefined) return known;
    const digest = createHash('sha256');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let position = 0; ; ) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) break;
      digest.update(chunk.subarray(0, bytesRead));
      position += bytesRead;
    }
    if ((await versionOf(file)) !== version) return null;
    const hash = digest.digest('hex');
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(version, hash);
    return hash;
  }
}

/** The change time cannot be set back, the modification time can. */
async function versionOf(file: FileHandle): Promise<string | null> {
  const facts = await file.stat({ bigint: true });
  if (!facts.isFile() || facts.size > MAX_BYTES) return null;
  return `${facts.dev}:${facts.ino}:${facts.size}:${facts.mtimeNs}:${facts.ctimeNs}`;
}
