/**
 * Duty: readings of Go's net/http, by the program in go-reader/.
 * Holds: cases go in and readings come out in batches; the program ends with `close`.
 * Not here: Go's own exceptions (exceptions.ts).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isResponse, type Message, type Reading, valuesOf, type WireCase } from './reading.ts';

const SOURCE = fileURLToPath(new URL('../go-reader', import.meta.url));

interface GoMessage extends Omit<Message, 'fields' | 'trailers'> {
  readonly host: string;
  readonly fields: Readonly<Record<string, readonly string[]>>;
  readonly trailers: Readonly<Record<string, readonly string[]>> | null;
}

export class GoReader {
  readonly #folder: string;
  readonly #program: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** The reader, or why there is none. */
  static open(): GoReader | string {
    const version = spawnSync('go', ['version'], { encoding: 'utf8' });
    if (version.status !== 0) return 'go is not installed';
    const folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'));
    const built = spawnSync('go', ['build', '-o', join(folder, 'go-reader'), '.'], { cwd: SOURCE, encoding: 'utf8' });
    if (built.status === 0) return new GoReader(folder);
    rmSync(folder, { recursive: true });
    return `the reader in Go does not build: ${built.stderr.trim().slice(0, 300)}`;
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#program = spawn(join(folder, 'go-reader'), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#program.stdin?.on('error', () => {});
    if (this.#program.stdout === null) throw new Error('no pipe to the reader in Go');
    this.#lines = createInterface({ input: this.#program.stdout, crlfDelay: Number.POSITIVE_INFINITY })[
      Symbol.asyncIterator
    ]();
  }

  async read(cases: readonly WireCase[]): Promise<Reading[]> {
    const lines = cases.map(({ direction, methods, raw }) => {
      return `${JSON.stringify({ direction, methods, raw: Buffer.from(raw, 'latin1').toString('base64') })}\n`;
    });
    this.#program.stdin?.write(lines.join(''));
    const readings: Reading[] = [];
    for (let i = 0; i < cases.length; i++) {
      const line = await this.#lines.next();
      if (line.done === true) throw new Error('the reader in Go has ended');
      readings.push(readingOf(JSON.parse(line.value)));
    }
    return readings;
  }

  close(): void {
    this.#program.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function readingOf({ messages, refusal }: { messages: GoMessage[]; refusal: string | null }): Reading {
  return { messages: messages.map(messageOf), refusal };
}

function messageOf({ fields, trailers, host, ...rest }: GoMessage): Message {
  const message: Message = { ...rest, fields: [], trailers: flat(Object.entries(trailers ?? {})), isUpgrade: false };
  const entries = withoutHidden(Object.entries(fields), message);
  return { ...message, fields: flat(isResponse(message) ? entries : [...entries, ['host', [host]]]) };
}

/** Go takes these out of the map, all or some of the time. */
function withoutHidden<T extends readonly [string, ...unknown[]]>(entries: readonly T[], message: Message): T[] {
  const hidden = ['transfer-encoding', 'trailer', isResponse(message) ? 'connection' : 'host'];
  return entries.filter(([name]) => !hidden.includes(name));
}

const flat = (entries: readonly (readonly [string, readonly string[]])[]): string[] =>
  entries
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([name, values]) => values.flatMap((value) => [name, value]));

/** Our reading as Go would tell it: names in lower case and sorted, the host by itself. */
export function asGoTells({ messages, refusal }: Reading): Reading {
  return { messages: messages.map(asGoTellsMessage), refusal };
}

function asGoTellsMessage(message: Message): Message {
  const entries = withoutHidden(entriesOf(message.fields), message);
  const fields = flat(isResponse(message) ? entries : [...entries, ['host', [hostOf(message)]]]);
  return { ...message, fields, trailers: flat(entriesOf(message.trailers)) };
}

/** Go takes the host of an absolute target before that of the field. */
function hostOf(message: Message): string {
  const [, target = ''] = message.line.split(' ');
  const absolute = /^https?:\/\/([^/?]*)/i.exec(target)?.[1];
  if (message.line.startsWith('CONNECT ')) return target;
  return absolute ?? valuesOf(message, 'host')[0] ?? '';
}

function entriesOf(fields: readonly string[]): [string, string[]][] {
  const entries: [string, string[]][] = [];
  for (let i = 0; i < fields.length; i += 2) entries.push([fields[i]?.toLowerCase() ?? '', [fields[i + 1] ?? '']]);
  return entries;
}
