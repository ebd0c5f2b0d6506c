/**
 * Duty: audit lines in a file, in order, chained.
 * In → Out: line → `{"seq":7,"prev":"<sha256>","time":"…",…}` appended.
 * Holds: `write` resolves after write(2), so a kill of this process loses nothing that was acknowledged; each line names the
 *   SHA-256 of the line before it, so a line that was cut out or changed shows; lines of one turn of the event loop go out together.
 * Fails: `audit_unavailable` while the file cannot be written or too much waits.
 * Not here: power loss (mount option or a collector), rotation (copy and truncate breaks the chain on purpose: it shows).
 */
import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { AuditLine, AuditSink, AuditText } from '../exchange-record.ts';
import type { AuditOptions } from '../options.ts';

const STANDARD_OUTPUT = 1;
const FIRST_LINK = '0'.repeat(64);
const TAIL_BYTES = 65_536;

/** @throws EgressError `configuration_invalid` where the file cannot be opened for appending. */
export function openFileSink(options: AuditOptions, clock: Clock): AuditSink {
  const fd = options.file === '-' ? STANDARD_OUTPUT : openForAppending(options.file);
  return new FileSink(fd, options.maxPending, clock, options.file === '-' ? null : tailOf(fd));
}

function openForAppending(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o640);
  } catch (cause) {
    throw new EgressError('configuration_invalid', {
      detail: `cannot open the audit file ${path} for appending (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}); name another under audit.file, or - for standard output`,
      cause,
    });
  }
}

interface Tail {
  readonly lastLine: string | null;
  /** The file ends in the middle of a line: a crash of the machine, or a full disk. */
  readonly isTorn: boolean;
}

/** The last whole line, to go on with its sequence and chain. */
function tailOf(fd: number): Tail {
  const { size } = fstatSync(fd);
  const length = Math.min(size, TAIL_BYTES);
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, size - length);
  const text = bytes.toString('utf8');
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  return { lastLine: lines.pop() ?? null, isTorn: rest !== '' };
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: EgressError) => void;
}

class FileSink implements AuditSink {
  readonly #fd: number;
  readonly #maxPending: number;
  readonly #clock: Clock;
  #seq = 0;
  #prev = FIRST_LINK;
  #pending: (AuditLine | AuditText)[] = [];
  #waiting: Waiting[] = [];
  #bytes = Buffer.allocUnsafeSlow(16_384);
  #scheduled = false;
  #torn = false;
  #closed = false;

  constructor(fd: number, maxPending: number, clock: Clock, tail: Tail | null) {
    this.#fd = fd;
    this.#maxPending = maxPending;
    this.#clock = clock;
    if (tail !== null) this.#goOn(tail);
  }

  write(line: AuditLine | AuditText): Promise<void> {
    if (this.#closed || this.#pending.length >= this.#maxPending)
      return Promise.reject(new EgressError('audit_unavailable'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#enqueue(line);
    });
  }

  writeLater(line: AuditLine | AuditText): void {
    // Beyond the limit `write` refuses and no credential leaves, so what is lost here is at most the end of exchanges under way.
    if (!this.#closed && this.#pending.length < 2 * this.#maxPending) this.#enqueue(line);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    if (this.#fd !== STANDARD_OUTPUT) closeSync(this.#fd);
  }

  #goOn(tail: Tail): void {
    this.#torn = tail.isTorn;
    if (tail.lastLine === null) return;
    this.#prev = hash('sha256', tail.lastLine);
    const seq = /^\{"seq":([0-9]{1,15}),/.exec(tail.lastLine)?.[1];
    this.#seq = seq === undefined ? 0 : Number(seq);
  }

  #enqueue(line: AuditLine | AuditText): void {
    this.#pending.push(line);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** One write(2) for all that waits. On failure the lines stay, their writers hear of it, and the next line tries again. */
  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      this.#append();
      for (const { resolve } of waiting) resolve();
    } catch (cause) {
      const error = new EgressError('audit_unavailable', { cause });
      for (const { reject } of waiting) reject(error);
    }
  }

  #append(): void {
    if (this.#pending.length === 0) return;
    let seq = this.#seq;
    let prev = this.#prev;
    let length = 0;
    if (this.#torn) length = this.#put('\n', length);
    const time = new Date(this.#clock.now()).toISOString();
    for (const line of this.#pending) {
      seq += 1;
      const json = typeof line === 'string' ? line : JSON.stringify(line);
      // Encoded once: what is hashed is what is written.
      const end = this.#put(`{"seq":${seq},"prev":"${prev}","time":"${time}",${json.slice(1)}\n`, length);
      prev = hash('sha256', this.#bytes.subarray(length, end - 1));
      length = end;
    }
    for (let at = 0; at < length; ) {
      this.#torn = true;
      at += writeSync(this.#fd, this.#bytes, at, length - at);
    }
    this.#torn = false;
    this.#seq = seq;
    this.#prev = prev;
    this.#pending = [];
  }

  /** Returns where it ends. */
  #put(text: string, at: number): number {
    const most = at + 3 * text.length;
    if (most > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, most));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at + this.#bytes.write(text, at, 'utf8');
  }
}
