/**
 * Duty: one request on one connection, until its final response head; then its body.
 * In → Out: AuthorizedRequest, UpstreamConnection → response head and body.
 * Holds: the request is written once, its head zeroed when it is out; the response is awaited while the body still goes; the
 *   connection is released exactly once, and only where both messages were whole.
 * Where the workload waits to be told to continue, so do we, for a moment: an answer to the head alone saves the upload.
 * Fails: `http_response_timeout`, `connection_read_timeout`, `connection_write_timeout`, `connection_terminated`,
 *   `http_response_incomplete`, `http_upgrade_failed`, `http_protocol_error`, what the codec says, what the signal says.
 * Source: RFC 9112 §9.3 to §9.6, RFC 9110 §15.2 (1xx), §9.2.2.
 * Not here: which connection (`pool.ts`); whether to try again (`send.ts`).
 */
import type { Clock, ScheduledTask } from '../core/clock.ts';
import type { Deadlines, Watched } from '../core/deadlines.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Framing, RequestHead, ResponseHead } from '../core/message.ts';
import { serializeRequestHead } from '../http1/head-writer.ts';
import { writeMessage } from '../http1/message-writer.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { UpstreamOptions } from './options.ts';
import type { Pool } from './pool.ts';
import { RequestBody } from './request-body.ts';
import { ResponseBody } from './response-body.ts';
import { upgrade } from './upgrade.ts';
import type { Answer, ResponseMessage, UpstreamConnection } from './upstream-connection.ts';

export interface OutboundParts {
  readonly pool: Pool;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
  readonly options: Pick<UpstreamOptions, 'responseHeadTimeoutMs' | 'idleTimeoutMs' | 'maxInterimResponses'>;
}

export type Stall = 'connection_write_timeout' | 'http_response_timeout' | 'connection_read_timeout';

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Not every upstream knows the expectation; a client waits for about a second before it sends its body anyway. */
const CONTINUE_WAIT_MS = 800;
const NOTHING = Buffer.alloc(0);
const KEEP_ALIVE_TIMEOUT = /(?:^|[ \t,;])timeout=([0-9]{1,6})(?:$|[ \t,;])/i;

export class Outbound implements Watched {
  deadline = Number.POSITIVE_INFINITY;
  readonly #request: AuthorizedRequest;
  readonly #connection: UpstreamConnection;
  readonly #parts: OutboundParts;
  readonly #signal: AbortSignal;
  readonly #wasUsed: boolean;
  #body: RequestBody | null = null;
  /** Begins the body that waits for a word of the upstream. */
  #sendBody: (() => void) | null = null;
  #continueTimer: ScheduledTask | null = null;
  #isWritten = false;
  #isAnswered = false;
  #interim = 0;
  #stall: Stall = 'http_response_timeout';
  /** Why we ended it ourselves. */
  #reason: EgressError | null = null;
  #isOver = false;

  /** Owns the connection from here on. */
  constructor(request: AuthorizedRequest, connection: UpstreamConnection, parts: OutboundParts, signal: AbortSignal) {
    this.#request = request;
    this.#connection = connection;
    this.#parts = parts;
    this.#signal = signal;
    this.#wasUsed = connection.served > 0;
  }

  get wasUsed(): boolean {
    return this.#wasUsed;
  }

  /** After `connection_terminated`: a used connection ended without a byte of an answer, and a repetition does no harm. */
  get mayRepeat(): boolean {
    const isSafe = this.#body === null && SAFE.has(this.#request.head.method);
    return this.#wasUsed && isSafe && this.#reason === null && this.#interim === 0 && this.#connection.isSilent;
  }

  /** Resolves at the final response head. @throws EgressError; the connection is dropped then. */
  async run(): Promise<Answer> {
    this.#signal.addEventListener('abort', this);
    this.#parts.deadlines.watch(this);
    if (this.#signal.aborted) this.handleEvent();
    try {
      this.#write();
      const { head, body } = await this.#finalMessage();
      this.#isAnswered = true;
      this.#sendBody = null;
      this.rests();
      if (this.#request.head.upgrade !== undefined) return this.#upgrade(head);
      if (head.status === 407) throw new EgressError('http_protocol_error', { detail: 'unexpected_407' });
      // The upstream has decided without the rest of the body, so nobody needs it.
      if (this.#body?.isWhole === false) this.#body.stop();
      const hint = hintMs(head.headers.get('keep-alive'));
      const isLast = !head.keepAlive || head.framing.kind === 'close';
      const answer = new ResponseBody(body, this, () => this.#complete(isLast, hint));
      // Nothing may come to fetch the end of a body that has no bytes.
      if (body.isOver) answer.take();
      return { head, body: answer };
    } catch (thrown) {
      throw this.broken(thrown);
    }
  }

  /** An answer is being waited for. */
  waits(): void {
    this.#expect('connection_read_timeout', this.#parts.options.idleTimeoutMs);
  }

  /** The ball is elsewhere. */
  rests(): void {
    this.deadline = Number.POSITIVE_INFINITY;
  }

  expire(): void {
    this.#end(new EgressError(this.#stall));
  }

  /** The error that stands for whatever was thrown. The connection is gone afterwards. */
  broken(thrown: unknown): EgressError {
    const own = this.#reason;
    this.#finish();
    this.#parts.pool.drop(this.#connection);
    if (own !== null) return own;
    const error = toEgressError(thrown);
    return error.code === 'connection_terminated' ? (this.#connection.failure ?? error) : error;
  }

  /** The reader of the response wants no more. */
  cancel(): void {
    this.#end(new EgressError('downstream_aborted'));
    this.#finish();
  }

  #write(): void {
    const { secretFields, secretTarget = null, body } = this.#request;
    const { socket } = this.#connection;
    const head = wireHead(this.#request.head);
    const bytes = serializeRequestHead(head, secretFields, secretTarget);
    this.#connection.begin(head.method);
    if (head.framing.kind === 'none' || (head.framing.kind === 'length' && head.framing.length === 0)) {
      socket.write(bytes, () => bytes.fill(0));
      this.#written();
      return;
    }
    const watched = new RequestBody(body, (isWriting) => {
      if (this.#isAnswered) return;
      if (isWriting) this.#expect('connection_write_timeout', this.#parts.options.idleTimeoutMs);
      else this.rests();
    });
    this.#body = watched;
    if (head.expectsContinue) this.#writeHeadFirst(bytes, head.framing, watched);
    else void this.#writeWithBody(bytes, head.framing, watched);
  }

  #writeHeadFirst(bytes: Buffer, framing: Framing, body: RequestBody): void {
    this.#connection.socket.write(bytes, () => bytes.fill(0));
    this.#expect('http_response_timeout', this.#parts.options.responseHeadTimeoutMs);
    const send = (): void => {
      if (this.#sendBody === null || this.#isOver) return;
      this.#sendBody = null;
      void this.#writeWithBody(NOTHING, framing, body);
    };
    this.#sendBody = send;
    this.#continueTimer = this.#parts.clock.schedule(CONTINUE_WAIT_MS, send);
  }

  async #writeWithBody(head: Buffer, framing: Framing, body: RequestBody): Promise<void> {
    try {
      const zeroBody = this.#request.hasSecretBody === true;
      const options = { zeroHead: true, zeroBody, signal: body.stopped };
      await writeMessage(this.#connection.socket, head, framing, body, options);
      this.#written();
    } catch (thrown) {
      head.fill(0);
      this.#writeFailed(body, thrown);
    }
  }

  /** All is handed to the socket; the writer has waited for what the upstream was slow to take. */
  #written(): void {
    this.#isWritten = true;
    if (!this.#isAnswered) this.#expect('http_response_timeout', this.#parts.options.responseHeadTimeoutMs);
  }

  /** A failed socket shows on the reading side, with what the upstream said before; a failed source must end both. */
  #writeFailed(body: RequestBody, thrown: unknown): void {
    if (body.failure !== null) this.#end(body.failure);
    else if (!body.stopped.aborted && !this.#connection.socket.destroyed) this.#end(toEgressError(thrown));
  }

  async #finalMessage(): Promise<ResponseMessage> {
    for (;;) {
      const message = await this.#connection.next();
      if (message === null) throw new EgressError('connection_terminated');
      const { status } = message.head;
      if (status >= 200) return message;
      if (status === 101 && this.#request.head.upgrade !== undefined) return message;
      if (status === 101) throw new EgressError('http_upgrade_failed', { detail: 'unsolicited 101' });
      this.#interim += 1;
      if (this.#interim > this.#parts.options.maxInterimResponses) {
        throw new EgressError('http_protocol_error', { detail: 'too many interim responses' });
      }
      await message.body.read();
      if (status === 100) this.#sendBody?.();
    }
  }

  /** The connection lives as long as the WebSocket and is never used again; only the signal can still end it here. */
  #upgrade(head: ResponseHead): Answer {
    this.#parts.deadlines.unwatch(this);
    const asked = wireHead(this.#request.head);
    return upgrade(asked.headers, head, this.#connection, () => {
      this.#finish();
      this.#parts.pool.drop(this.#connection);
    });
  }

  #complete(isLast: boolean, hint: number | null): void {
    if (this.#isOver) return;
    this.#finish();
    if (isLast || !this.#isWritten || this.#mayBeUnread) this.#parts.pool.drop(this.#connection);
    else this.#parts.pool.release(this.#connection, hint);
  }

  /** A server that expects no body behind such a method takes it for the next request, which policy has not seen. */
  get #mayBeUnread(): boolean {
    return this.#body !== null && SAFE.has(this.#request.head.method);
  }

  #expect(stall: Stall, durationMs: number): void {
    this.#stall = stall;
    this.deadline = this.#parts.deadlines.in(durationMs);
  }

  /** The signal aborts. */
  handleEvent(): void {
    this.#end(toEgressError(this.#signal.reason));
  }

  /** Cuts the connection; whoever waits for it learns why from `broken`. */
  #end(reason: EgressError): void {
    if (this.#isOver) return;
    this.#reason ??= reason;
    this.#parts.pool.drop(this.#connection);
  }

  #finish(): void {
    this.#isOver = true;
    this.#parts.deadlines.unwatch(this);
    this.#signal.removeEventListener('abort', this);
    this.#continueTimer?.cancel();
    this.#body?.stop();
  }
}

/** Towards an origin: its own form of the target, and what concerns this hop alone. */
function wireHead(head: RequestHead): RequestHead {
  const isPlain = !head.expectsContinue && head.upgrade === undefined;
  if (isPlain && head.form !== 'absolute' && !head.headers.has('expect')) return head;
  const headers = head.headers.copy();
  headers.delete('expect');
  if (head.expectsContinue && head.framing.kind !== 'none') headers.append('Expect', '100-continue');
  if (head.upgrade !== undefined) {
    headers.append('Connection', 'Upgrade');
    headers.append('Upgrade', head.upgrade);
  }
  const target = head.form !== 'absolute' ? head.target : `${head.path}${head.query === null ? '' : `?${head.query}`}`;
  return { ...head, target, headers };
}

/** `ms` that the upstream keeps an idle connection; null where it does not say. */
function hintMs(field: string | undefined): number | null {
  const seconds = field === undefined ? undefined : KEEP_ALIVE_TIMEOUT.exec(field)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}
