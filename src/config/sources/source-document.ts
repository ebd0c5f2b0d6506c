/**
 * Duty: what the compilers of all kinds of sources ask of their document.
 * Holds: `at` begins at the key of the kind, so that each kind names its own keys alone.
 */
import { parseAuthority } from '../../core/authority.ts';
import { formatDuration } from '../../core/duration.ts';
import { EgressError } from '../../core/errors.ts';
import type { RawDocument } from '../documents.ts';
import type { FileAccess } from '../file-access.ts';
import { nearest } from '../nearest.ts';
import { type Path, type ProblemList, quoted } from '../problems.ts';
import { durationMs } from '../quantities.ts';

/** What sources must know of the Proxy document. */
export interface ProxyAround {
  readonly hasSandbox: boolean;
  /** Workload tokens are signed with the default algorithm. */
  readonly tokensAreEs256: boolean;
  readonly hasWorkers: boolean;
}

export interface SourceDocumentParts {
  /** With its namespace. */
  readonly name: string;
  /** The key below `spec`. */
  readonly kind: string;
  readonly raw: RawDocument;
  readonly files: FileAccess;
  readonly around: ProxyAround;
  readonly problems: ProblemList;
}

const PLACES = ['workload.id', 'workload.spiffeId', 'workload.instance'];
const LOOPBACK = /^(?:localhost|127\.[0-9.]+|\[?::1\]?)$/;

export class SourceDocument {
  readonly name: string;
  readonly around: ProxyAround;
  readonly #parts: SourceDocumentParts;

  constructor(parts: SourceDocumentParts) {
    this.name = parts.name;
    this.around = parts.around;
    this.#parts = parts;
  }

  /** A problem with the value at these keys below the kind. */
  refuse(keys: Path, message: string, hint: string): void {
    const path = this.#at(keys);
    this.#parts.problems.add(this.#parts.raw.at(path), path, message, hint);
  }

  /** A problem with the key itself. */
  refuseKey(keys: Path, message: string, hint: string): void {
    const path = this.#at(keys);
    this.#parts.problems.add(this.#parts.raw.atKey(path), path, message, hint);
  }

  warn(keys: Path, message: string): void {
    const path = this.#at(keys);
    this.#parts.problems.warn(this.#parts.raw.at(path), path, message);
  }

  /** A relative path starts at the folder of the document. */
  resolve(path: string): string {
    return this.#parts.files.resolve(this.#parts.raw, path);
  }

  /** Where the file of roots is; null where none is named. A problem where it holds none. */
  roots(keys: Path, path: string | undefined): string | null {
    if (path === undefined) return null;
    const resolved = this.resolve(path);
    this.#parts.files.readPem(this.#parts.raw, this.#at(keys), resolved);
    return resolved;
  }

  /** The entries that are there, null where no mapping is; a problem for an empty one. */
  mapping(
    keys: Path,
    entries: Readonly<Record<string, string | undefined>> | undefined,
  ): Record<string, string> | null {
    if (entries === undefined) return null;
    const given = Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined);
    if (given.length > 0) return Object.fromEntries(given);
    this.refuse(keys, 'the mapping is empty', 'name a field, like { key: api_key }, or leave it out');
    return null;
  }

  /** A problem where `text` holds braces that name nothing. */
  checkTemplate(keys: Path, what: string, text: string): boolean {
    const fault = placesFault(text);
    if (fault !== null) this.refuse(keys, `the ${what} ${fault.fault}`, fault.hint);
    return fault === null;
  }

  /** In `ms`; a problem where it is out of bounds. */
  duration(keys: Path, text: string | undefined, [standard, min, max]: readonly [number, number, number]): number {
    const ms = text === undefined ? standard : durationMs(text);
    if (ms >= min && ms <= max) return ms;
    this.refuse(keys, `${text} is out of bounds`, `from ${formatDuration(min)} to ${formatDuration(max)}`);
    return standard;
  }

  /** A problem where the host or port is malformed; `warning` where it is plain http beyond this machine. */
  checkOrigin(keys: Path, origin: string, example: string, warning: string): void {
    const isPlain = origin.startsWith('http:');
    try {
      const { host } = parseAuthority(origin.slice(origin.indexOf('//') + 2), isPlain ? 80 : 443);
      if (isPlain && !LOOPBACK.test(host)) this.warn(keys, warning);
    } catch (thrown) {
      const detail = (thrown instanceof EgressError ? thrown.detail : null) ?? 'malformed';
      this.refuse(keys, `${quoted(origin)} is not an origin: ${detail}`, `write it like ${example}`);
    }
  }

  #at(keys: Path): Path {
    return ['spec', this.#parts.kind, ...keys];
  }
}

export interface TemplateFault {
  readonly fault: string;
  readonly hint: string;
}

function placesFault(text: string): TemplateFault | null {
  for (const [, name = ''] of text.matchAll(/\{\{\s*([^{}]*?)\s*\}\}/g)) {
    if (PLACES.includes(name)) continue;
    const near = nearest(name, PLACES);
    return {
      fault: `has the unknown name ${quoted(`{{${name}}}`)}`,
      hint: near === null ? `known are ${PLACES.join(', ')}` : `did you mean {{${near}}}?`,
    };
  }
  return /[{}]/.test(withoutPlaces(text))
    ? { fault: 'has a brace that belongs to no name', hint: 'names are written {{workload.id}}' }
    : null;
}

/** The text with a letter for each name in braces. */
export const withoutPlaces = (text: string): string => text.replace(/\{\{\s*[A-Za-z.]+\s*\}\}/g, 'x');
