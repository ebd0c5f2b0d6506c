/**
 * Duty: joins a stream and a parser: messages are pulled, and the stream is read no faster than that.
 * In → Out: Duplex → head and Body, one message after the other.
 * Holds: at most the high-water mark (and one read of the stream) waits unread; what arrived is handed out before a
 *   failure is told; the end of a message shows as soon as its last byte is here; nothing rejects that nobody awaits.
 * Fails: what the parser throws; the `closed` and `cut` codes where the stream broke.
 * Not here: deadlines, and who ends or destroys the stream: its owner.
 */
import type { Duplex } from 'node:stream';
import { EgressError, type ErrorCode, toEgressError } from '../core/errors.ts';
import type { Body, Framing } from '../core/message.ts';
import { IncomingBody } from './incoming-body.ts';
import type { MessageParser, ParserEvent } from './message-parser.ts';

export interface ReaderOptions {
  /** Default 64 KiB. */
  readonly highWaterBytes?: number;
  /** The stream broke between messages or within a head. */
  readonly closed: ErrorCode;
  /** The stream broke within a body. Default: `http_response_incomplete` beside `connection_terminated`, else `closed`. */
  readonly cut?: ErrorCode;
}

export interface Message<Head> {
  readonly head: Head;
  readonly body: Body;
}

const HIGH_WATER_BYTES = 65_536;
/** One for all: every tunnel's reader of CONNECT ends so, and to record a stack costs more than the rest of it. */
const DETACHED = Object.freeze(new EgressError('internal', { detail: 'the reader was detached' }));
const MAX_SKIPPED_BYTES = 256 * 1024;

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: EgressError): void;
}

export class MessageReader<Head extends { readonly framing: Framing }> {
  readonly #stream: Duplex;
  readonly #parser: MessageParser<Head>;
  readonly #options: ReaderOptions;
  readonly #highWaterBytes: number;
  /** Of the message under way or of the last one. */
  #body: IncomingBody | null = null;
  #awaitingHead: Waiter<Message<Head> | null> | null = null;
  #isPaused = false;
  #hasEnded = false;
  /** Why nothing more can come; told when everything that did come is out. */
  #failure: EgressError | null = null;

  constructor(stream: Duplex, parser: MessageParser<Head>, options: ReaderOptions) {
    this.#stream = stream;
    this.#parser = parser;
    this.#options = options;
    this.#highWaterBytes = options.highWaterBytes ?? HIGH_WATER_BYTES;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onBreak);
    stream.on('close', this.#onClose);
    if (stream.destroyed) this.#onClose();
    else if (stream.readableEnded) this.#onEnd();
    else stream.resume();
  }

  /** Between two messages, and nothing of the next one has arrived. */
  get isIdle(): boolean {
    return this.isBetweenMessages && this.#parser.isIdle;
  }

  /**
   * The next message; null where the peer ended in order. What is left of the body before is read and dropped, up to
   * 256 KiB. One call at a time.
   * @throws EgressError
   */
  next(): Promise<Message<Head> | null> {
    if (!this.isBetweenMessages) return this.#nextAfterRest();
    if (this.#awaitingHead !== null)
      return Promise.reject(new EgressError('internal', { detail: 'a message is awaited already' }));
    return new Promise((resolve, reject) => {
      const message = this.#pullHead();
      if (message === undefined) this.#awaitingHead = { resolve, reject };
      else resolve(message);
    });
  }

  async #nextAfterRest(): Promise<Message<Head> | null> {
    if (!(await this.drain(MAX_SKIPPED_BYTES)))
      throw this.#failure ?? new EgressError('internal', { detail: 'the body before was not read' });
    return this.next();
  }

  /** Nobody waits for the next message any longer than until now: it fails, and so does whatever is asked for later. */
  giveUp(error: EgressError): void {
    this.#fail(error);
  }

  /** Somebody waits for bytes of the body under way. */
  get isBodyAwaited(): boolean {
    return this.#body?.isAwaited === true;
  }

  /** The message under way, or the last one, was read to its end. */
  get isBetweenMessages(): boolean {
    return this.#body === null || this.#body.isOver;
  }

  /**
   * Reads and drops the rest of the body under way; whoever was reading it is refused. True when the message is over,
   * false where its rest is longer than `limitBytes` or the stream broke. Never rejects.
   */
  async drain(limitBytes: number): Promise<boolean> {
    const body = this.#body;
    if (body === null || body.isOver) return true;
    return body.discard(limitBytes);
  }

  /** Takes every listener off and hands out what was not parsed; the stream is the caller's again, paused. */
  detach(): Buffer {
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    this.#stream.off('error', this.#onBreak);
    this.#stream.off('close', this.#onClose);
    this.#stream.pause();
    const rest = this.#parser.takeRest();
    this.#fail(DETACHED);
    return rest;
  }

  readonly #onData = (bytes: Buffer): void => {
    this.#parser.push(bytes);
    this.#advance();
    // Whoever waits has taken all there was: what is left is the beginning of something that needs more.
    const isAwaited = this.#awaitingHead !== null || this.#body?.isAwaited === true;
    if (!isAwaited && !this.#isPaused && this.#parser.bufferedBytes >= this.#highWaterBytes) {
      this.#isPaused = true;
      this.#stream.pause();
    }
  };

  readonly #onEnd = (): void => {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    try {
      this.#parser.end();
      this.#advance();
    } catch (thrown) {
      this.#fail(toEgressError(thrown));
    }
  };

  readonly #onBreak = (cause: Error): void => this.#fail(this.#broken(cause));

  readonly #onClose = (): void => {
    if (!this.#hasEnded) this.#fail(this.#broken(null));
  };

  #broken(cause: Error | null): EgressError {
    const { closed, cut = closed === 'connection_terminated' ? 'http_response_incomplete' : closed } = this.#options;
    const isInBody = this.#body !== null && !this.#body.isOver;
    return new EgressError(isInBody ? cut : closed, { detail: 'the connection broke', cause });
  }

  #fail(error: EgressError): void {
    this.#failure ??= error;
    this.#advance();
  }

  /** Gives whoever waits what there is. */
  #advance(): void {
    const waiter = this.#awaitingHead;
    if (waiter === null) {
      this.#body?.wake();
      return;
    }
    let message: Message<Head> | null | undefined;
    try {
      message = this.#pullHead();
    } catch (thrown) {
      this.#awaitingHead = null;
      waiter.reject(toEgressError(thrown));
      return;
    }
    if (message === undefined) return;
    this.#awaitingHead = null;
    waiter.resolve(message);
  }

  /** Undefined where it has not come yet. @throws EgressError */
  #pullHead(): Message<Head> | null | undefined {
    const event = this.#pull();
    if (event === null) {
      if (this.#failure !== null) throw this.#failure;
      return this.#hasEnded ? null : undefined;
    }
    if (event.kind !== 'head') throw new EgressError('internal', { detail: 'a message without a head' });
    const body = new IncomingBody(event.head.framing, this.#pullBody, () => this.#failure);
    this.#body = body;
    body.lookAhead();
    return { head: event.head, body };
  }

  readonly #pullBody = (): ParserEvent<unknown> | null => this.#pull();

  /** @throws EgressError what the parser throws; it stays the failure. */
  #pull(): ParserEvent<Head> | null {
    try {
      const event = this.#parser.pull();
      if (this.#isPaused && (event === null || this.#parser.bufferedBytes < this.#highWaterBytes)) {
        this.#isPaused = false;
        this.#stream.resume();
      }
      return event;
    } catch (thrown) {
      const error = toEgressError(thrown);
      this.#failure ??= error;
      throw this.#failure;
    }
  }
}
