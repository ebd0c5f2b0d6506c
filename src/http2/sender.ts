/**
 * Duty: the bodies on their way out, a frame of each in turn.
 * In → Out: Body → DATA, trailers, the end of the stream.
 * Holds: nothing goes beyond the windows of peer and stream; a body is asked for more only when what it gave is out; the end is
 *   written only where the body ended properly and was as long as announced.
 * Fails: what the body throws, what it is failed with; `internal` for a body of the wrong length. The body is cancelled then.
 * Source: RFC 9113 §5.2, §6.1, §6.9.
 * Not here: who may write how much at once (wire-link.ts).
 */
import { EgressError, toEgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body } from '../core/message.ts';
import { MAX_FRAME_BYTES } from './frames.ts';

export interface FrameSink {
  data(stream: number, bytes: Buffer, endsStream: boolean): void;
  trailers(stream: number, trailers: HeaderList): void;
  /** The sender has ended the stream, or failed with what it throws. Called once. */
  sent(sender: Sender, failure: EgressError | null): void;
  /** It has something to send again. */
  ready(sender: Sender): void;
}

interface Turn {
  readonly bytes: number;
  readonly goesOn: boolean;
}

const NO_TURN: Turn = Object.freeze({ bytes: 0, goesOn: false });

export class Sender {
  readonly stream: number;
  readonly #body: Body;
  readonly #announced: number | null;
  readonly #sink: FrameSink;
  /** What the peer takes on this stream, in `bytes`; may be negative. */
  #window: number;
  #chunk: Buffer | null = null;
  #total = 0;
  #isReading = false;
  #isOver = false;
  #resolve!: (bytes: number) => void;
  #reject!: (error: EgressError) => void;
  readonly done: Promise<number>;

  /** `announced`: the length that the head has named; null: none. */
  constructor(stream: number, body: Body, announced: number | null, window: number, sink: FrameSink) {
    this.stream = stream;
    this.#body = body;
    this.#announced = announced;
    this.#window = window;
    this.#sink = sink;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
  }

  /** Body bytes so far. */
  get total(): number {
    return this.#total;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The peer does not take what is here. */
  get isBlocked(): boolean {
    return this.#chunk !== null && !this.#isOver;
  }

  get window(): number {
    return this.#window;
  }

  widen(increment: number): void {
    const couldSend = this.#window > 0;
    this.#window += increment;
    if (!couldSend && this.#window > 0 && this.isBlocked) this.#sink.ready(this);
  }

  /** One frame of at most so many bytes. Returns how many; true in `goesOn` where it wants another turn. */
  step(roomBytes: number, maxFrameBytes: number): Turn {
    if (this.#isOver || this.#isReading) return NO_TURN;
    try {
      return this.#step(roomBytes, maxFrameBytes);
    } catch (thrown) {
      // Nobody is there to catch it: this is called between two turns.
      this.fail(toEgressError(thrown));
      return NO_TURN;
    }
  }

  #step(roomBytes: number, maxFrameBytes: number): Turn {
    this.#chunk ??= this.#body.take();
    const chunk = this.#chunk;
    if (chunk === null) {
      if (this.#body.isOver) this.#finish();
      else void this.#read();
      return { bytes: 0, goesOn: false };
    }
    const length = Math.min(chunk.length, roomBytes, this.#window, maxFrameBytes, MAX_FRAME_BYTES);
    if (length <= 0) return { bytes: 0, goesOn: roomBytes <= 0 };
    if (this.#announced !== null && this.#total + length > this.#announced) {
      this.fail(new EgressError('internal', { detail: 'a body is longer than announced' }));
      return { bytes: 0, goesOn: false };
    }
    this.#window -= length;
    this.#total += length;
    this.#chunk = length === chunk.length ? null : chunk.subarray(length);
    const isLast = this.#chunk === null && this.#body.isOver && this.#body.trailers === null && this.#isWhole;
    this.#sink.data(this.stream, length === chunk.length ? chunk : chunk.subarray(0, length), isLast);
    if (isLast) this.#end();
    return { bytes: length, goesOn: !this.#isOver };
  }

  /** Nothing more goes out. Idempotent. */
  fail(error: EgressError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#chunk = null;
    if (!this.#body.isOver) this.#body.cancel();
    this.#reject(error);
    this.#sink.sent(this, error);
  }

  get #isWhole(): boolean {
    return this.#announced === null || this.#total === this.#announced;
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      this.#chunk = await this.#body.read();
      this.#isReading = false;
      if (this.#isOver) return;
      if (this.#chunk === null) this.#finish();
      else this.#sink.ready(this);
    } catch (thrown) {
      this.#isReading = false;
      this.fail(toEgressError(thrown));
    }
  }

  #finish(): void {
    if (!this.#isWhole) {
      this.fail(new EgressError('internal', { detail: 'a body is shorter than announced' }));
      return;
    }
    const { trailers } = this.#body;
    if (trailers !== null && trailers.size > 0) this.#sink.trailers(this.stream, trailers);
    else this.#sink.data(this.stream, NOTHING, true);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#resolve(this.#total);
    this.#sink.sent(this, null);
  }
}

const NOTHING = Buffer.alloc(0);
