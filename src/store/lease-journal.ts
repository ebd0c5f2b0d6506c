/**
 * Duty: the journal of leases in a file: what a crash would leave behind.
 * In → Out: a note → `{"id":"k3-1","source":"vault",…}` appended; its end → `{"end":"k3-1"}`.
 * Holds: mode 0600, this process's user, no link followed; a line is written when `note` returns, so a kill of the process loses
 *   none; a line that is no JSON, as the last one after a crash of the machine, is skipped; the file is written anew, synced and
 *   renamed, where most of it is over.
 * Fails: `configuration_invalid` where it cannot be opened or somebody else may use it; a failed write is told, and serving goes on.
 * Not here: power loss (lines are not synced one by one: what is lost then ends by its time).
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { JournalFacts, JournalNote, LeaseJournal, Orphan } from '../credential/journal.ts';

export interface LeaseJournalOptions {
  readonly path: string;
  readonly ownUid: number;
  readonly clock: Clock;
  /** Told once for each row of failures. */
  readonly onFailure: (error: EgressError) => void;
}

export interface OpenLeaseJournal extends LeaseJournal {
  close(): void;
}

const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
/** So many lines that say nothing any more are left, or as many as there are leases. */
const MAX_DEAD_LINES = 4_096;
/** Two clocks may differ by so much. */
const SKEW_MS = 60 * 60_000;

/** @throws EgressError `configuration_invalid`. */
export function openLeaseJournal(options: LeaseJournalOptions): OpenLeaseJournal {
  const fd = openOwn(options.path, options.ownUid);
  const entries = readEntries(readFileSync(fd, 'utf8'), options.clock.now() - SKEW_MS);
  return new FileJournal(options, fd, entries);
}

function openOwn(path: string, ownUid: number): number {
  let fd: number;
  try {
    fd = openSync(path, FLAGS, 0o600);
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    throw unusable(
      `cannot open the journal of leases ${path} (${code}); make it usable, or name another stateDirectory`,
      cause,
    );
  }
  const { uid, mode } = fstatSync(fd);
  if (uid === ownUid && (mode & 0o077) === 0) return fd;
  closeSync(fd);
  throw unusable(
    uid === ownUid
      ? `${path} may be used by group or others; run chmod 0600 on it`
      : `${path} belongs to uid ${uid}, not to uid ${ownUid}`,
  );
}

const unusable = (detail: string, cause?: unknown): EgressError =>
  new EgressError('configuration_invalid', { detail, cause });

type Entries = Map<string, Orphan>;

/** What has not ended, neither by word nor by time. */
function readEntries(text: string, now: number): Entries {
  const entries: Entries = new Map();
  for (const line of text.split('\n')) {
    const parsed = lineOf(line);
    if (parsed === null) continue;
    const { end, more, endsAt } = parsed;
    const known = typeof more === 'string' ? entries.get(more) : undefined;
    if (typeof end === 'string') entries.delete(end);
    else if (known !== undefined && typeof endsAt === 'number') entries.set(known.id, { ...known, endsAt });
    else if (isOrphan(parsed)) entries.set(parsed.id, parsed);
  }
  for (const [id, { endsAt }] of entries) if (endsAt < now) entries.delete(id);
  return entries;
}

function lineOf(line: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isOrphan(line: Record<string, unknown>): line is Record<string, unknown> & Orphan {
  const isText = (name: string): boolean => typeof line[name] === 'string';
  const isTextOrNull = (name: string): boolean => line[name] === null || isText(name);
  return (
    isText('id') &&
    isText('source') &&
    isText('workload') &&
    isTextOrNull('accessor') &&
    isTextOrNull('leaseId') &&
    typeof line['endsAt'] === 'number'
  );
}

class FileJournal implements OpenLeaseJournal {
  readonly #options: LeaseJournalOptions;
  readonly #orphans: Set<string>;
  readonly #live: Entries;
  /** Told apart from the ids of runs before. */
  readonly #run: string;
  #fd: number;
  #serial = 0;
  #lines = 0;
  #compactAtLines = 0;
  #isFailing = false;
  #isClosed = false;

  constructor(options: LeaseJournalOptions, fd: number, entries: Entries) {
    this.#options = options;
    this.#fd = fd;
    this.#live = entries;
    this.#orphans = new Set(entries.keys());
    let run = options.clock.now().toString(36);
    while ([...entries.keys()].some((id) => id.startsWith(`${run}-`))) run += 'x';
    this.#run = run;
    this.#compact();
  }

  orphans(): readonly Orphan[] {
    return [...this.#live.values()].filter(({ id }) => this.#orphans.has(id));
  }

  note(facts: JournalFacts): JournalNote {
    const entry: Orphan = { id: `${this.#run}-${++this.#serial}`, ...facts };
    this.#live.set(entry.id, entry);
    this.#append(entry);
    return {
      extend: (endsAt) => {
        if (!this.#live.has(entry.id)) return;
        this.#live.set(entry.id, { ...entry, endsAt });
        this.#append({ more: entry.id, endsAt });
      },
      end: () => this.settle(entry),
      abandon: () => void (this.#live.has(entry.id) && this.#orphans.add(entry.id)),
    };
  }

  settle({ id }: Orphan): void {
    this.#orphans.delete(id);
    if (!this.#live.delete(id)) return;
    this.#append({ end: id });
    if (this.#lines > this.#compactAtLines) this.#compact();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #append(line: object): void {
    if (this.#isClosed) return;
    this.#lines++;
    this.#guarded(() => writeAll(this.#fd, Buffer.from(`${JSON.stringify(line)}\n`)));
  }

  /** Begins on a new line also where the file before ended within one. */
  #compact(): void {
    const { path, ownUid } = this.#options;
    const draft = `${path}.new`;
    this.#guarded(() => {
      rmSync(draft, { force: true });
      const fd = openOwn(draft, ownUid);
      try {
        writeAll(fd, Buffer.from([...this.#live.values()].map((entry) => `${JSON.stringify(entry)}\n`).join('')));
        fsyncSync(fd);
        renameSync(draft, path);
      } catch (thrown) {
        closeSync(fd);
        throw thrown;
      }
      closeSync(this.#fd);
      this.#fd = fd;
      this.#lines = this.#live.size;
    });
    // Also after a failure: not with every line.
    this.#compactAtLines = this.#lines + Math.max(MAX_DEAD_LINES, this.#live.size);
  }

  #guarded(task: () => void): void {
    try {
      task();
      this.#isFailing = false;
    } catch (cause) {
      if (!this.#isFailing)
        this.#options.onFailure(
          new EgressError('internal', {
            detail: 'the journal of leases cannot be written; what a crash leaves now ends by its time alone',
            cause,
          }),
        );
      this.#isFailing = true;
    }
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
