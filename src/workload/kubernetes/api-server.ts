/**
 * Duty: GET at a Kubernetes API server.
 * In → Out: path → a JSON document, or the lines of an answer that goes on.
 * Holds: TLS with the cluster's own roots and no others; token and roots are read anew for every call, for the kubelet
 *   replaces them; redirects are not followed; documents, lines and silence are bounded; the token goes into no message.
 * Fails: `ApiFailure`.
 * Source: Kubernetes API concepts; RFC 9112.
 * Not here: what is asked (pod-watch.ts).
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Clock } from '../../core/clock.ts';
import type { KubernetesOptions } from '../options.ts';

/** Told by its message alone, which is a constant or a code. */
export class ApiFailure extends Error {
  readonly after: AfterFailure;

  constructor(message: string, after: AfterFailure = 'try-again') {
    super(message);
    this.after = after;
  }
}

/** `list-anew`: what was known cannot be gone on from; `gone`: that, and it is no fault. */
export type AfterFailure = 'try-again' | 'list-anew' | 'gone';

export interface ApiServer {
  /** @throws ApiFailure */
  document(path: string, signal: AbortSignal): Promise<unknown>;
  /** `heard` is called for every sign of life. @throws ApiFailure; what ends in order, ends. */
  lines(path: string, heard: () => void, signal: AbortSignal): AsyncIterable<string>;
  close(): void;
}

const DOCUMENT_DEADLINE_MS = 10_000;
const HEAD_DEADLINE_MS = 5_000;
/** Longer than a watch is asked to last. */
const SILENCE_MS = 25_000;
/** A page of a hundred pods; etcd takes no object above 1.5 MiB. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;
const MAX_LINE_BYTES = 4 * 1024 * 1024;
const TOKEN = /^[\x21-\x7e]{1,16384}$/;

type Parts = Pick<KubernetesOptions, 'apiServer' | 'caFile' | 'tokenFile'>;

export function createApiServer(options: Parts, clock: Clock): ApiServer {
  return new Api(options, clock);
}

class Api implements ApiServer {
  readonly #options: Parts;
  readonly #clock: Clock;
  #agent: { readonly ca: string; readonly agent: Agent } | null = null;

  constructor(options: Parts, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  async document(path: string, signal: AbortSignal): Promise<unknown> {
    const limit = new TimeLimit(this.#clock, signal);
    limit.set(DOCUMENT_DEADLINE_MS);
    try {
      const response = await this.#get(path, limit.signal);
      const pieces: Buffer[] = [];
      let length = 0;
      for await (const piece of response as AsyncIterable<Buffer>) {
        length += piece.length;
        if (length > MAX_DOCUMENT_BYTES) throw new ApiFailure('answer too large');
        pieces.push(piece);
      }
      return jsonIn(Buffer.concat(pieces));
    } catch (thrown) {
      throw limit.failureFrom(thrown);
    } finally {
      limit.end();
    }
  }

  async *lines(path: string, heard: () => void, signal: AbortSignal): AsyncIterable<string> {
    const limit = new TimeLimit(this.#clock, signal);
    limit.set(HEAD_DEADLINE_MS);
    try {
      const response = await this.#get(path, limit.signal);
      heard();
      const lines = new Lines();
      limit.set(SILENCE_MS);
      for await (const piece of response as AsyncIterable<Buffer>) {
        heard();
        for (const line of lines.take(piece)) yield line;
        limit.set(SILENCE_MS);
      }
      if (!lines.isEmpty) throw new ApiFailure('answer ends within a line');
      heard();
    } catch (thrown) {
      throw limit.failureFrom(thrown);
    } finally {
      limit.end();
    }
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = null;
  }

  async #get(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const token = (await this.#read(this.#options.tokenFile, 'token')).trim();
    if (!TOKEN.test(token)) throw new ApiFailure('the token file holds no token');
    const agent = this.#agentFor(await this.#read(this.#options.caFile, 'CA'));
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { accept: 'application/json', authorization: `Bearer ${token}`, 'user-agent': 'countersign' };
    const call = request(`${this.#options.apiServer}${path}`, { headers, agent, signal });
    call.once('response', resolve);
    // What comes later ends the response, which its reader sees.
    call.on('error', reject);
    call.end();
    const response = await promise;
    if (response.statusCode === 200) return response;
    call.destroy();
    throw new ApiFailure(`status ${response.statusCode}`, response.statusCode === 410 ? 'gone' : 'try-again');
  }

  async #read(file: string, what: string): Promise<string> {
    try {
      return await readFile(file, 'utf8');
    } catch (thrown) {
      throw new ApiFailure(`the ${what} file cannot be read (${codeOf(thrown)})`);
    }
  }

  #agentFor(ca: string): Agent {
    if (this.#agent?.ca === ca) return this.#agent.agent;
    this.#agent?.agent.destroy();
    this.#agent = { ca, agent: new Agent({ ca, keepAlive: true, maxSockets: 2, minVersion: 'TLSv1.2' }) };
    return this.#agent.agent;
  }
}

/** One time limit, set again and again, that ends a call. */
class TimeLimit {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  readonly #late = new AbortController();
  #task: { cancel(): void } | null = null;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.signal = AbortSignal.any([signal, this.#late.signal]);
  }

  set(ms: number): void {
    this.#task?.cancel();
    this.#task = this.#clock.schedule(ms, () => this.#late.abort());
  }

  end(): void {
    this.#task?.cancel();
  }

  failureFrom(thrown: unknown): ApiFailure {
    if (thrown instanceof ApiFailure) return thrown;
    return new ApiFailure(this.#late.signal.aborted ? 'no answer in time' : codeOf(thrown));
  }
}

class Lines {
  readonly #pieces: Buffer[] = [];
  #length = 0;

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  *take(piece: Buffer): Iterable<string> {
    let from = 0;
    for (let at = piece.indexOf(10); at !== -1; at = piece.indexOf(10, from)) {
      const line = Buffer.concat([...this.#pieces, piece.subarray(from, at)]).toString('utf8');
      this.#pieces.length = 0;
      this.#length = 0;
      from = at + 1;
      yield line;
    }
    this.#length += piece.length - from;
    if (this.#length > MAX_LINE_BYTES) throw new ApiFailure('line too long');
    if (from < piece.length) this.#pieces.push(piece.subarray(from));
  }
}

const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';

function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new ApiFailure('answer malformed');
  }
}
