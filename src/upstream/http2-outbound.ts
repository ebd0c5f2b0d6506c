/**
 * Duty: one request on one stream, until its final response head; then its body.
 * In → Out: AuthorizedRequest, Http2Connection → response head and body.
 * Holds: the head is zeroed when it is out; request and response flow beside each other to the end of the response, after which
 *   nothing of the request is sent; a failure ends the stream and leaves the connection to the others.
 * Fails: `http_response_timeout`, `connection_read_timeout`, `connection_write_timeout`, `connection_terminated`,
 *   `http_response_incomplete`, `http_protocol_error`, `http_response_header_section_size`, what the signal says.
 * Source: RFC 9113 §8.1, §8.7; RFC 9110 §10.1.1, §15.2.
 * Not here: which connection (http2-pool.ts); whether to try again (send.ts).
 */
import type { ScheduledTask } from '../core/clock.ts';
import type { Watched } from '../core/deadlines.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import { type Body, EMPTY_BODY, type ResponseHead } from '../core/message.ts';
import type { Decoded } from '../http2/hpack-decoder.ts';
import { outgoingRequest } from '../http2/request-head.ts';
import { readResponseHead } from '../http2/response-head.ts';
import type { Http2Stream, StreamListener } from '../http2/stream.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { Http2Connection } from './http2-connection.ts';
import type { OutboundParts, Stall } from './outbound.ts';
import { RequestBody } from './request-body.ts';
import { type BodyOwner, ResponseBody } from './response-body.ts';
import type { Answer } from './upstream-connection.ts';

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Not every upstream knows the expectation; a client waits for about a second before it sends its body anyway. */
const CONTINUE_WAIT_MS = 800;
const CONTINUE = { name: 'expect', key: 'expect', value: '100-continue' };

interface HeadWaiter {
  resolve(head: ResponseHead): void;
  reject(error: EgressError): void;
}

export class Http2Outbound implements Watched, BodyOwner, StreamListener {
  deadline = Number.POSITIVE_INFINITY;
  readonly wasUsed: boolean;
  readonly #request: AuthorizedRequest;
  readonly #connection: Http2Connection;
  readonly #parts: Omit<OutboundParts, 'pool'>;
  readonly #signal: AbortSignal;
  readonly #stream: Http2Stream;
  readonly #body: RequestBody | null;
  #waiter: HeadWaiter | null = null;
  #continueTimer: ScheduledTask | null = null;
  #sendBody: (() => void) | null = null;
  #interim = 0;
  #isAnswered = false;
  #isWaiting = false;
  #isUnprocessed = false;
  #stall: Stall = 'http_response_timeout';
  #reason: EgressError | null = null;
  #isOver = false;

  constructor(
    request: AuthorizedRequest,
    connection: Http2Connection,
    parts: Omit<OutboundParts, 'pool'>,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#connection = connection;
    this.#parts = parts;
    this.#signal = signal;
    this.wasUsed = connection.served > 0;
    this.#stream = connection.open();
    this.#stream.listener = this;
    const { body } = request;
    const { framing } = request.head;
    const hasNone = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
    this.#body = hasNone ? null : new RequestBody(body, (isWriting) => this.#turned(isWriting));
  }

  /** The peer has said that it did nothing, or a used connection ended without a word and a repetition does no harm. */
  get mayRepeat(): boolean {
    if (this.#reason !== null || this.#isAnswered || this.#interim > 0) return false;
    return this.#isUnprocessed || (this.wasUsed && this.#body === null && SAFE.has(this.#request.head.method));
  }

  /** Resolves at the final response head. @throws EgressError; the stream is over then. */
  async run(): Promise<Answer> {
    this.#signal.addEventListener('abort', this);
    this.#parts.deadlines.watch(this);
    try {
      this.#checkOpen();
      const coming = new Promise<ResponseHead>((resolve, reject) => {
        this.#waiter = { resolve, reject };
      });
      this.#write();
      const head = await coming;
      this.rests();
      if (head.status === 407) throw new EgressError('http_protocol_error', { detail: 'unexpected_407' });
      return { head, body: this.#bodyOf(head) };
    } catch (thrown) {
      throw this.broken(thrown);
    }
  }

  waits(): void {
    this.#isWaiting = true;
    this.#expect('connection_read_timeout');
  }

  rests(): void {
    this.#isWaiting = false;
    this.deadline = Number.POSITIVE_INFINITY;
  }

  expire(): void {
    this.#end(new EgressError(this.#stall));
  }

  /** The signal aborts. */
  handleEvent(): void {
    this.#end(toEgressError(this.#signal.reason));
  }

  broken(thrown: unknown): EgressError {
    const error = this.#reason ?? toEgressError(thrown);
    this.#connection.machine.reset(this.#stream, 'CANCEL', error);
    this.#finish();
    return error.code === 'connection_terminated' ? (this.#connection.failure ?? error) : error;
  }

  /** The reader of the response wants no more. */
  cancel(): void {
    this.#end(new EgressError('downstream_aborted'));
    this.#finish();
  }

  head({ fields, isTooLarge }: Decoded, endsStream: boolean): void {
    if (isTooLarge) {
      this.#end(new EgressError('http_response_header_section_size', { detail: 'the head is larger than the limit' }));
      return;
    }
    const stream = this.#stream;
    const head = readResponseHead(stream.id, fields, endsStream, this.#request.head.method);
    if (head.status < 200) {
      this.#interim += 1;
      if (this.#interim > this.#parts.options.maxInterimResponses)
        this.#end(new EgressError('http_protocol_error', { detail: 'too many interim responses' }));
      else if (head.status === 100) this.#sendBody?.();
      return;
    }
    stream.awaitsHead = false;
    stream.body.length = head.framing.kind === 'length' ? head.framing.length : null;
    this.#isAnswered = true;
    this.#sendBody = null;
    this.#waiter?.resolve(head);
    this.#waiter = null;
  }

  failed(error: EgressError, isUnprocessed: boolean): void {
    this.#isUnprocessed = isUnprocessed;
    this.#waiter?.reject(error);
    this.#waiter = null;
  }

  #bodyOf(head: ResponseHead): Body {
    const { machine } = this.#connection;
    if (head.framing.kind === 'none') {
      // Whatever comes behind such a head is nothing to anybody.
      machine.reset(this.#stream, 'CANCEL', null);
      this.#stream.sender?.fail(new EgressError('connection_terminated', { detail: 'the answer is whole' }));
      this.#finish();
      return EMPTY_BODY;
    }
    const answer = new ResponseBody(this.#stream.body, this, () => this.#finish());
    // Nothing may come to fetch the end of a body that has no bytes.
    if (this.#stream.body.isOver) answer.take();
    return answer;
  }

  /** Between the choice of the connection and now it may have ended, others may have taken the last place, or nobody waits. */
  #checkOpen(): void {
    const { machine } = this.#connection;
    const isLeft = this.#signal.aborted;
    if (!isLeft && machine.failure === null && machine.streams.size <= machine.outgoing.peer.maxStreams) return;
    // The peer has not seen the stream: RST_STREAM on it would end the connection for all.
    machine.abandon(this.#stream);
    if (isLeft) throw toEgressError(this.#signal.reason);
    this.#isUnprocessed = true;
    throw new EgressError('connection_terminated', { detail: 'the connection takes no more streams' });
  }

  #write(): void {
    const { head, secretFields } = this.#request;
    const { machine } = this.#connection;
    const { pseudo, fields } = outgoingRequest(head);
    if (head.expectsContinue && this.#body !== null) fields.push(CONTINUE);
    try {
      machine.outgoing.head(this.#stream, { pseudo, fields, secretFields }, this.#body === null);
    } catch (thrown) {
      machine.abandon(this.#stream);
      throw thrown;
    }
    this.#expect('http_response_timeout');
    if (this.#body === null) return;
    const body = this.#body;
    const send = (): void => {
      if (this.#isOver || this.#stream.sender !== null) return;
      const announced = head.framing.kind === 'length' ? head.framing.length : null;
      machine.outgoing.body(this.#stream, body, announced).then(
        () => this.#written(),
        (thrown) => this.#writeFailed(body, thrown),
      );
    };
    if (!head.expectsContinue) {
      send();
      return;
    }
    this.#sendBody = send;
    this.#continueTimer = this.#parts.clock.schedule(CONTINUE_WAIT_MS, send);
  }

  #written(): void {
    if (!this.#isAnswered && !this.#isOver) this.#expect('http_response_timeout');
  }

  /** A failed source ends both; a stream that is over shows on the reading side. */
  #writeFailed(body: RequestBody, thrown: unknown): void {
    if (body.failure !== null) this.#end(body.failure);
    else if (!this.#isOver && this.#connection.machine.streams.get(this.#stream.id) === this.#stream)
      this.#end(toEgressError(thrown));
  }

  /** While the answer is waited for, the request shows that there is life. */
  #turned(isWriting: boolean): void {
    if (this.#isOver) return;
    if (this.#isAnswered) {
      if (this.#isWaiting) this.#expect('connection_read_timeout');
    } else if (isWriting) this.#expect('connection_write_timeout');
    else this.rests();
  }

  #expect(stall: Stall): void {
    const { idleTimeoutMs, responseHeadTimeoutMs } = this.#parts.options;
    this.#stall = stall;
    this.deadline = this.#parts.deadlines.in(stall === 'http_response_timeout' ? responseHeadTimeoutMs : idleTimeoutMs);
  }

  /** Ends the stream; whoever waits for it learns why. */
  #end(reason: EgressError): void {
    if (this.#isOver) return;
    this.#reason ??= reason;
    this.#connection.machine.reset(this.#stream, 'CANCEL', reason);
  }

  #finish(): void {
    this.#isOver = true;
    this.#parts.deadlines.unwatch(this);
    this.#signal.removeEventListener('abort', this);
    this.#continueTimer?.cancel();
  }
}
