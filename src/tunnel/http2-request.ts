/**
 * Duty: one request on a stream of HTTP/2, and the way back for its response.
 * In → Out: stream and head → DownstreamRequest.
 * Holds: exactly one answer; one that broke never looks complete; where the workload ends the stream, the exchange is aborted.
 * Fails: `downstream_aborted`; what the body of the response throws.
 * Source: RFC 9113 §8.1; RFC 9110 §10.1.1.
 * Not here: which requests there are (http2-requests.ts), time (http2-pace.ts).
 */

import { EgressError, toEgressError } from '../core/errors.ts';
import { isGrpc } from '../core/grpc.ts';
import { HeaderList } from '../core/headers.ts';
import type { Body, RequestHead, ResponseHead } from '../core/message.ts';
import type { Http2Machine } from '../http2/machine.ts';
import { outgoingResponse } from '../http2/response-head.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { AwaitedBody } from './awaited-body.ts';
import type { DownstreamRequest, Tunnel } from './tunnel.ts';

/** One for all: to record a stack costs more than the rest of the ending. */
const GONE = Object.freeze(new EgressError('downstream_aborted'));
const CONTINUE = { pseudo: [[':status', '100']], fields: new HeaderList().fields } as const;

export class Http2Request implements DownstreamRequest {
  readonly tunnel: Tunnel;
  readonly head: RequestHead;
  readonly body: Body;
  readonly stream: Http2Stream;
  readonly #machine: Http2Machine;
  readonly #onSettled: (request: Http2Request) => void;
  readonly #gone = new AbortController();
  #mayContinue: boolean;
  #isAnswered = false;
  #isSettled = false;

  constructor(
    tunnel: Tunnel,
    head: RequestHead,
    stream: Http2Stream,
    machine: Http2Machine,
    onSettled: (request: Http2Request) => void,
  ) {
    this.tunnel = tunnel;
    this.head = head;
    this.stream = stream;
    this.#machine = machine;
    this.#onSettled = onSettled;
    this.#mayContinue = head.expectsContinue;
    this.body = head.expectsContinue ? new AwaitedBody(stream.body, () => this.continue()) : stream.body;
    stream.listener = { head: () => {}, failed: (error) => this.#failed(error) };
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Both directions may be open for long, and nothing need move: a call of gRPC, or one whose answer has begun. */
  get isStreaming(): boolean {
    return this.#isAnswered || isGrpc(this.head.headers);
  }

  continue(): void {
    if (!this.#mayContinue) return;
    this.#mayContinue = false;
    if (!this.stream.isLocalEnded && !this.signal.aborted) this.#machine.outgoing.head(this.stream, CONTINUE, false);
  }

  async respond(head: ResponseHead, body: Body): Promise<number> {
    this.#mayContinue = false;
    if (this.signal.aborted) {
      body.cancel();
      throw GONE;
    }
    this.#isAnswered = true;
    try {
      const { outgoing } = this.#machine;
      const isEmpty = head.framing.kind === 'none' || (body.isOver && body.trailers === null);
      outgoing.head(this.stream, outgoingResponse(head), isEmpty);
      if (isEmpty) return 0;
      return await outgoing.body(this.stream, body, head.framing.kind === 'length' ? head.framing.length : null);
    } catch (thrown) {
      const error = toEgressError(thrown);
      body.cancel();
      this.#machine.reset(this.stream, 'INTERNAL_ERROR', error);
      throw error;
    }
  }

  settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (!this.stream.isLocalEnded) this.#machine.reset(this.stream, 'INTERNAL_ERROR', GONE);
    this.#onSettled(this);
  }

  /** The workload takes too long: whoever waits for its body hears why, and can still answer. */
  giveUp(error: EgressError): void {
    this.stream.body.failed(error);
  }

  /** The workload does not read, or was silent for too long in an answer that has begun. */
  end(error: EgressError): void {
    this.#machine.reset(this.stream, 'CANCEL', error);
  }

  #failed(error: EgressError): void {
    this.#gone.abort(error);
  }
}
