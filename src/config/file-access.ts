/**
 * Duty: files that a document names.
 * Holds: a relative path starts at the folder of its document; what must be there is looked for at load.
 */
import { dirname, resolve } from 'node:path';
import type { RawDocument } from './documents.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

/** The text of a file; throws where it cannot be read. */
export type ReadText = (path: string) => string;

export class FileAccess {
  readonly #read: ReadText | null;
  readonly #problems: ProblemList;
  readonly #named = new Set<string>();

  /** `read` null: files are believed to be there, and PEM files to be empty. */
  constructor(read: ReadText | null, problems: ProblemList) {
    this.#read = read;
    this.#problems = problems;
  }

  resolve(raw: RawDocument, path: string): string {
    const resolved = resolve(dirname(raw.file), path);
    this.#named.add(resolved);
    return resolved;
  }

  /** All that were resolved, sorted. */
  get named(): readonly string[] {
    return [...this.#named].sort();
  }

  /** The certificates in the file; null, and a problem, where there are none. */
  readPem(raw: RawDocument, at: Path, path: string): string | null {
    if (this.#read === null) return '';
    try {
      const text = this.#read(path);
      if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
      this.#problems.add(
        raw.at(at),
        at,
        `${quoted(path)} holds no PEM certificate`,
        'name a file with -----BEGIN CERTIFICATE-----',
      );
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code ?? 'unreadable';
      this.#problems.add(
        raw.at(at),
        at,
        `${quoted(path)} cannot be read (${code})`,
        'relative paths start at the folder of this file',
      );
    }
    return null;
  }

  /** Whether the file holds JSON; a problem where it does not. */
  readJson(raw: RawDocument, at: Path, path: string): void {
    if (this.#read === null) return;
    try {
      JSON.parse(this.#read(path));
    } catch (thrown) {
      const isText = thrown instanceof SyntaxError;
      const code = (thrown as NodeJS.ErrnoException).code ?? 'unreadable';
      this.#problems.add(
        raw.at(at),
        at,
        `${quoted(path)} ${isText ? 'is not JSON' : `cannot be read (${code})`}`,
        isText ? 'name a file with { "keys": [ … ] }' : 'relative paths start at the folder of this file',
      );
    }
  }
}
