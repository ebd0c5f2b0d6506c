/**
 * Duty: the pods of a cluster, or of a node or namespace of it, as they are now.
 * In → Out: a question about the table of pods → a pod, or null where it is not known or what is known is old.
 * Holds: a list, then a watch from its version on; what the server calls gone or is malformed is listed anew; after 30 s
 *   without a sign of the server nothing is said; a table that is not complete is never asked.
 * Source: Kubernetes API concepts: resourceVersion, "Efficient detection of changes", bookmarks, 410 Gone, chunked lists.
 * Not here: HTTP (api-server.ts), what follows from a pod (attestors/kubernetes.ts).
 */
import { z } from 'zod';
import type { Clock, ScheduledTask } from '../../core/clock.ts';
import type { AttestationLog } from '../attestor.ts';
import type { KubernetesOptions } from '../options.ts';
import { Outage } from '../outage.ts';
import { ApiFailure, type ApiServer } from './api-server.ts';
import { parsePod } from './pod.ts';
import { PodTable } from './pod-table.ts';

export interface PodWatch {
  /** What `look` finds, at the latest 2 s from now: the API server hears of a container after its first program does. */
  find<T>(look: (table: PodTable) => T | null): Promise<T | null>;
  close(): void;
}

export interface PodWatchParts {
  readonly server: ApiServer;
  readonly clock: Clock;
  /** Between 0 and 1, for jitter only. */
  readonly random: () => number;
  readonly log: AttestationLog;
}

const STALE_MS = 30_000;
const WAIT_MS = 2_000;
const MAX_WAITING = 1_000;
export const MAX_PODS = 20_000;
const PAGE = 100;
/** Short, so that a connection that died in silence is found out before what it told is old. */
const WATCH_SECONDS = 20;
/** A watch that lasts so long works, also where it has nothing to tell. */
const SETTLED_MS = 1_000;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 8_000;

const pageShape = z.object({
  metadata: z.object({ resourceVersion: z.string().min(1), continue: z.string().optional() }),
  items: z.array(z.unknown()),
});
const eventShape = z.object({ type: z.string(), object: z.unknown() });
const bookmarkShape = z.object({ metadata: z.object({ resourceVersion: z.string().min(1) }) });
const statusShape = z.object({ code: z.int() });

/** Begins at once. */
export function openPodWatch(
  options: Pick<KubernetesOptions, 'nodeName' | 'namespace'>,
  parts: PodWatchParts,
): PodWatch {
  const watch = new Watch(options, parts);
  void watch.run();
  return watch;
}

class Watch implements PodWatch {
  readonly #path: string;
  readonly #selector: string;
  readonly #parts: PodWatchParts;
  readonly #outage: Outage;
  readonly #closed = new AbortController();
  readonly #waiting = new Set<() => void>();
  /** Null until a first list is complete. */
  #table: PodTable | null = null;
  #version: string | null = null;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;

  constructor({ nodeName, namespace }: Pick<KubernetesOptions, 'nodeName' | 'namespace'>, parts: PodWatchParts) {
    this.#path = namespace === null ? '/api/v1/pods' : `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
    this.#selector = nodeName === null ? '' : `&fieldSelector=${encodeURIComponent(`spec.nodeName=${nodeName}`)}`;
    this.#parts = parts;
    this.#outage = new Outage(parts.log, 'kubernetes');
  }

  async run(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      try {
        if (this.#version === null) await this.#list();
        await this.#watch();
      } catch (thrown) {
        await this.#recover(thrown);
      }
    }
  }

  async find<T>(look: (table: PodTable) => T | null): Promise<T | null> {
    const untilMs = this.#parts.clock.monotonicMs() + WAIT_MS;
    for (;;) {
      const table = this.#freshTable();
      const found = table === null ? null : look(table);
      if (found !== null) return found;
      // A server that was lost, or that refused more than once, takes longer than anybody should wait.
      const isHopeless = table === null && (this.#table !== null || this.#failures > 1);
      const leftMs = untilMs - this.#parts.clock.monotonicMs();
      if (isHopeless || leftMs <= 0 || this.#waiting.size >= MAX_WAITING || this.#closed.signal.aborted) return null;
      await this.#change(leftMs);
    }
  }

  close(): void {
    this.#closed.abort();
    this.#parts.server.close();
    this.#wake();
  }

  #freshTable(): PodTable | null {
    const ageMs = this.#parts.clock.monotonicMs() - this.#heardAtMs;
    return ageMs <= STALE_MS ? this.#table : null;
  }

  readonly #heard = (): void => {
    this.#heardAtMs = this.#parts.clock.monotonicMs();
  };

  async #list(): Promise<void> {
    const beganMs = this.#parts.clock.monotonicMs();
    const table = new PodTable(MAX_PODS);
    let next = '';
    let version = '';
    do {
      const target = `${this.#path}?limit=${PAGE}${this.#selector}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`;
      const page = shaped(pageShape, await this.#parts.server.document(target, this.#closed.signal));
      for (const item of page.items) put(table, podIn(item).pod);
      version = page.metadata.resourceVersion;
      next = page.metadata.continue ?? '';
    } while (next !== '');
    this.#table = table;
    this.#version = version;
    this.#heardAtMs = Math.max(this.#heardAtMs, beganMs);
    this.#wake();
  }

  async #watch(): Promise<void> {
    const { server, clock } = this.#parts;
    const version = encodeURIComponent(this.#version ?? '');
    const target = `${this.#path}?watch=1&allowWatchBookmarks=true&resourceVersion=${version}&timeoutSeconds=${WATCH_SECONDS}${this.#selector}`;
    const beganMs = clock.monotonicMs();
    let isQuiet = true;
    let settled: ScheduledTask | null = null;
    const heard = (): void => {
      this.#heard();
      settled ??= clock.schedule(SETTLED_MS, () => this.#works());
    };
    try {
      for await (const line of server.lines(target, heard, this.#closed.signal)) {
        this.#take(line);
        isQuiet = false;
        this.#works();
      }
    } finally {
      (settled as ScheduledTask | null)?.cancel();
    }
    // A server that ends every watch at once is not asked in a loop.
    if (isQuiet && clock.monotonicMs() - beganMs < SETTLED_MS) throw new ApiFailure('watch ended at once');
    this.#works();
  }

  #works(): void {
    this.#failures = 0;
    this.#outage.over();
  }

  #take(line: string): void {
    const { type, object } = shaped(eventShape, jsonIn(line));
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED': {
        const { pod, resourceVersion } = podIn(object);
        const table = this.#table ?? new PodTable(MAX_PODS);
        if (type === 'DELETED') table.remove(pod.uid);
        else put(table, pod);
        this.#version = resourceVersion;
        this.#wake();
        return;
      }
      case 'BOOKMARK':
        this.#version = shaped(bookmarkShape, object).metadata.resourceVersion;
        return;
      case 'ERROR': {
        const { code } = shaped(statusShape, object);
        throw new ApiFailure(`watch error ${code}`, code === 410 ? 'gone' : 'try-again');
      }
      default:
        throw malformed();
    }
  }

  /** What the server no longer has, or what cannot be read, is listed anew; anything else is tried again from where it was. */
  async #recover(thrown: unknown): Promise<void> {
    if (this.#closed.signal.aborted) return;
    const { message, after } = thrown instanceof ApiFailure ? thrown : new ApiFailure('internal', 'list-anew');
    if (after !== 'try-again') this.#version = null;
    // An incomplete table would take the address of two pods for that of one.
    if (message === TOO_MANY) this.#table = null;
    // Gone once is how a list begins anew; twice is a server that never stops to say so.
    if (after !== 'gone' || this.#failures > 0) this.#outage.began(message, HINTS[message] ?? null);
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures) * (0.5 + this.#parts.random() / 2);
    this.#failures += 1;
    await this.#sleep(delayMs);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#closed;
      const task = this.#parts.clock.schedule(ms, () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        task.cancel();
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        task.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const task = this.#parts.clock.schedule(withinMs, wake);
      this.#waiting.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

const TOO_MANY = 'too many pods';

const HINTS: Readonly<Record<string, string>> = {
  'status 401': 'attestation.kubernetes.tokenFile must hold a valid token of a service account',
  'status 403': 'the service account of the proxy needs list and watch of pods',
  [TOO_MANY]: 'name attestation.kubernetes.nodeName or namespace',
};

const malformed = (): ApiFailure => new ApiFailure('answer malformed', 'list-anew');

function put(table: PodTable, pod: ReturnType<typeof parsePod>['pod']): void {
  if (!table.put(pod)) throw new ApiFailure(TOO_MANY, 'list-anew');
}

function podIn(value: unknown): ReturnType<typeof parsePod> {
  try {
    return parsePod(value);
  } catch {
    throw malformed();
  }
}

function shaped<T>(shape: z.ZodType<T>, value: unknown): T {
  const parsed = shape.safeParse(value);
  if (!parsed.success) throw malformed();
  return parsed.data;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed();
  }
}
