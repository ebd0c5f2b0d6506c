/**
 * Duty: who speaks in a playbook: the workload at its end of the connection, the upstream, the audit record.
 * Holds: a script waits for what it expects and fails, within seconds, with what came instead.
 */
import { expect } from 'vitest';
import { type Authority, parseAuthority } from '../../src/core/authority.ts';
import { EgressError, type ErrorCode } from '../../src/core/errors.ts';
import type { Body, ResponseHead } from '../../src/core/message.ts';
import { RESPONSE_LIMITS } from '../../src/http1/message-parser.ts';
import { MessageReader } from '../../src/http1/message-reader.ts';
import { createResponseParser } from '../../src/http1/response-parser.ts';
import type { Connection } from '../../src/listener/connection.ts';
import type { Tunnel } from '../../src/tunnel/tunnel.ts';
import type { Workload } from '../../src/workload/workload.ts';
import type { CaptureSink } from '../fakes/capture-audit.ts';
import { type FakeConnection, openFakeConnection } from '../fakes/fake-connection.ts';
import { type FakeUpstream, ToldBody } from '../fakes/fake-upstream.ts';

const PATIENCE_MS = 3_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Long enough for anything to happen that is going to happen without a timer. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

export class WorkloadScript {
  readonly identity: Workload;
  /** Its placeholder for API keys. */
  readonly apiKey: string;
  readonly #token: string;
  readonly #accept: (connection: Connection) => void;
  readonly #received: Buffer[] = [];
  readonly #open: FakeConnection[] = [];
  #parser = createResponseParser({ limits: RESPONSE_LIMITS });
  #reader: MessageReader<ResponseHead> | null = null;
  #authority: Authority | null = null;
  #body: Body | null = null;

  constructor(identity: Workload, token: string, accept: (connection: Connection) => void) {
    this.identity = identity;
    this.apiKey = identity.placeholders.apiKey;
    this.#token = token;
    this.#accept = accept;
  }

  /** CONNECT, and the 200 for it. */
  async opens(authority: string): Promise<void> {
    const answer = await this.#connect(authority, this.#token);
    expect(answer.head.status, 'answer to CONNECT').toBe(200);
  }

  /** CONNECT, and what is answered instead of 200: the code of the problem document, '' where there is none. */
  async isRefused(authority: string, status: number, code: string, token = this.#token): Promise<void> {
    const answer = await this.#connect(authority, token);
    const text = await patient(textOf(answer.body), 'the body of the refusal');
    expect([answer.head.status, text === '' ? '' : codeIn(text)]).toEqual([status, code]);
  }

  /** `GET /path`, fields, and after an empty line the body. Host and Content-Length are added where they are missing. */
  sends(line: string, ...rest: readonly string[]): void {
    const blank = rest.indexOf('');
    const fields = blank === -1 ? [...rest] : rest.slice(0, blank);
    const body = blank === -1 ? null : rest.slice(blank + 1).join('\n');
    const has = (name: string): boolean => fields.some((field) => field.toLowerCase().startsWith(`${name}:`));
    if (!has('host')) fields.unshift(`Host: ${this.#authority?.host ?? ''}`);
    if (body !== null && !has('content-length') && !has('transfer-encoding'))
      fields.push(`Content-Length: ${Buffer.byteLength(body)}`);
    this.#parser.expect(line.slice(0, line.indexOf(' ')));
    this.#write([`${line} HTTP/1.1`, ...fields, '', body ?? ''].join('\r\n'));
  }

  /** More bytes of the body. */
  goesOn(bytes: string): void {
    this.#write(bytes);
  }

  /** The next response as a whole: status, and body or the code of its problem document. */
  async receives(status: number, body?: string | { readonly code: string }): Promise<ResponseHead> {
    const head = await this.receivesHead(status);
    const text = await patient(textOf(this.#body), 'the rest of the response');
    if (typeof body === 'string') expect(text).toBe(body);
    else if (body !== undefined) expect(codeIn(text)).toBe(body.code);
    return head;
  }

  /** A request and the status of its answer; 0 where the tunnel ends without one. */
  async asks(line: string, ...rest: readonly string[]): Promise<number> {
    this.sends(line, ...rest);
    const message = await patient(this.#reader?.next() ?? null, `an answer to ${line}`).catch(() => null);
    await textOf(message?.body ?? null).catch(() => '');
    return message?.head.status ?? 0;
  }

  async receivesHead(status: number): Promise<ResponseHead> {
    const message = await patient(this.#reader?.next() ?? null, `a response with ${status}`);
    if (message === null) return expect.fail(`the tunnel ended where ${status} was expected`);
    this.#body = message.body;
    expect(message.head.status).toBe(status);
    return message.head;
  }

  /** What of the response under way is still to come, to its proper end. */
  async receivesRest(body: string): Promise<void> {
    expect(await patient(textOf(this.#body), 'the rest of the response')).toBe(body);
  }

  /** The response under way was cut: it never looks complete. */
  async isCutOff(): Promise<void> {
    await expect(patient(textOf(this.#body), 'the cut')).rejects.toThrow(
      /connection_terminated|http_response_incomplete/,
    );
  }

  /** The proxy ended the tunnel. */
  async seesTheEnd(): Promise<void> {
    const last = await patient(this.#reader?.next().catch(() => null) ?? null, 'the end of the tunnel');
    expect(last === null ? null : last.head.status).toBe(null);
  }

  async receivesNothing(): Promise<void> {
    const before = this.received().length;
    await quiet();
    expect(this.received().slice(before)).toBe('');
  }

  /** Goes without a word. */
  leaves(): void {
    this.#open.at(-1)?.peer.destroy();
  }

  leavesEverything(): void {
    for (const { peer } of this.#open) peer.destroy();
  }

  /** All bytes that it ever got. */
  received(): string {
    return Buffer.concat(this.#received).toString('latin1');
  }

  get lastTunnel(): Tunnel | null {
    const open = this.#open.at(-1);
    if (open === undefined || this.#authority === null) return null;
    return { connection: open.connection, kind: 'connect', authority: this.#authority, proxyAuthorization: null };
  }

  async #connect(authority: string, token: string): Promise<{ readonly head: ResponseHead; readonly body: Body }> {
    const open = openFakeConnection();
    this.#open.push(open);
    this.#authority = parseAuthority(authority);
    this.#parser = createResponseParser({ limits: RESPONSE_LIMITS });
    this.#reader = new MessageReader(open.peer, this.#parser, { closed: 'connection_terminated' });
    open.peer.on('data', (bytes: Buffer) => this.#received.push(bytes));
    open.peer.on('error', () => {});
    this.#accept(open.connection);
    this.#parser.expect('CONNECT');
    this.#write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`);
    const answer = await patient(this.#reader.next(), 'an answer to CONNECT');
    return answer ?? expect.fail('the connection ended without an answer to CONNECT');
  }

  #write(bytes: string): void {
    this.#open.at(-1)?.peer.write(Buffer.from(bytes, 'latin1'));
  }
}

export class UpstreamScript {
  readonly #upstream: FakeUpstream;
  #body: ToldBody | null = null;

  constructor(upstream: FakeUpstream) {
    this.#upstream = upstream;
  }

  /** The next request: its request line, and fields that must be among the others, each exactly once. */
  async sees(line: string, ...fields: readonly string[]): Promise<readonly string[]> {
    const { lines } = await patient(this.#upstream.next(), `${line} at the upstream`);
    expect(lines[0]).toBe(`${line} HTTP/1.1`);
    for (const field of fields) {
      const name = field.slice(0, field.indexOf(':') + 1).toLowerCase();
      expect(lines.filter((each) => each.toLowerCase().startsWith(name))).toEqual([field]);
    }
    return lines;
  }

  async seesBody(text: string): Promise<void> {
    expect(await patient(this.#upstream.arrivals.at(-1)?.body ?? null, 'the body at the upstream')).toBe(text);
  }

  /** Nothing arrived that the script has not looked at, and nothing does. */
  async seesNothing(arrivedBefore = 0): Promise<void> {
    await quiet();
    expect(this.#upstream.arrivals.slice(arrivedBefore).map(({ lines }) => lines[0])).toEqual([]);
  }

  /** A whole response. Fields, and after an empty line the body. */
  answers(status: number, ...rest: readonly string[]): void {
    const blank = rest.indexOf('');
    const text = blank === -1 ? '' : rest.slice(blank + 1).join('\n');
    const length = Buffer.byteLength(text, 'latin1');
    this.#begin(status, blank === -1 ? rest : rest.slice(0, blank), length);
    if (length > 0) this.#body?.goesOn(text);
    this.#body?.ends();
  }

  /** A head; the body follows. */
  begins(status: number, ...fields: readonly string[]): void {
    this.#begin(status, fields, null);
  }

  goesOn(text: string): void {
    this.#body?.goesOn(text);
  }

  ends(): void {
    this.#body?.ends();
  }

  /** Before a head: the send stage throws this. */
  fails(code: ErrorCode): void {
    this.#upstream.fail(code);
  }

  /** From now on everything is answered at once, with no body. */
  answersAll(status: number): void {
    this.#upstream.automatic = status;
  }

  get arrivals(): FakeUpstream['arrivals'] {
    return this.#upstream.arrivals;
  }

  /** After the head: the body breaks with this. */
  breaksOff(code: ErrorCode): void {
    this.#body?.breaks(new EgressError(code));
  }

  get wasCancelled(): boolean {
    return this.#body?.isCancelled === true;
  }

  #begin(status: number, fields: readonly string[], length: number | null): void {
    this.#body = new ToldBody(length);
    const pairs = fields.map((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon), field.slice(colon + 1).trim()] as const;
    });
    const framing = length === null ? ({ kind: 'chunked' } as const) : ({ kind: 'length', length } as const);
    this.#upstream.respond({ status, reason: 'Told', fields: pairs, framing, body: this.#body });
  }
}

export class AuditScript {
  readonly #sink: CaptureSink;
  #read = 0;

  constructor(sink: CaptureSink) {
    this.#sink = sink;
  }

  /** The next lines, in this order and no others: `intent bearer`, `completion denied rule_missing 403`, `refusal …`. */
  async has(...expected: readonly string[]): Promise<void> {
    await expect
      .poll(() => this.unread().length, { timeout: PATIENCE_MS, interval: 2 })
      .toBeGreaterThanOrEqual(expected.length);
    expect(this.unread()).toEqual(expected);
    this.#read = this.#sink.lines.length;
  }

  /** Takes what is there for read. */
  skips(): void {
    this.#read = this.#sink.lines.length;
  }

  /** From now on nothing can be recorded before the fact. */
  dies(): void {
    this.#sink.fail = new EgressError('audit_unavailable');
  }

  recovers(): void {
    this.#sink.fail = null;
  }

  /** The record itself, for what the short form does not say. */
  get lines(): CaptureSink['lines'] {
    return this.#sink.lines;
  }

  unread(): string[] {
    return this.#sink.lines.slice(this.#read).map(shortForm);
  }
}

function shortForm(line: CaptureSink['lines'][number]): string {
  const words = line['kind'] === 'intent' ? ['injected'] : ['outcome', 'code', 'status'];
  return [line['kind'], ...words.map((word) => line[word])].filter((word) => word !== undefined).join(' ');
}

function codeIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { code?: unknown }).code;
  } catch {
    return /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? text;
  }
}

async function textOf(body: Body | null): Promise<string> {
  const chunks: Buffer[] = [];
  for (let chunk = await body?.read(); chunk; chunk = await body?.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

async function patient<T>(pending: Promise<T> | T, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still waiting for ${what}`)), PATIENCE_MS);
  });
  return Promise.race([pending, late]).finally(() => clearTimeout(timer));
}
