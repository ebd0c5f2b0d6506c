/**
 * Duty: the streams of a connection: which there are, which there were, and how much may still come on them.
 * Holds: every byte that arrives counts against both windows; that of the connection is given back on arrival, since each
 *   stream has a limit of its own; streams that we ended ourselves are remembered for a while, so that what was under way on
 *   them does no harm.
 * Fails: `PROTOCOL_ERROR`, `STREAM_CLOSED`, `FLOW_CONTROL_ERROR`.
 * Source: RFC 9113 §5.1, §5.1.1, §5.2.
 * Not here: frames (machine.ts).
 */
import { ConnectionFault } from './faults.ts';
import { MAX_WINDOW } from './peer-settings.ts';
import { Http2Stream } from './stream.ts';

export interface TableOptions {
  readonly role: 'server' | 'client';
  /** Of each stream, for what comes, in `bytes`. */
  readonly windowBytes: number;
}

export interface TableEvents {
  /** The peer may send so much more; stream 0 is the connection. */
  window(stream: number, increment: number): void;
  /** Nobody reads what comes on it. */
  cancelled(stream: Http2Stream): void;
  /** A stream has left the table. */
  closed(): void;
}

/** For all streams together. */
export const CONNECTION_WINDOW = 2 ** 20;
const MAX_REMEMBERED = 1_024;

export class StreamTable {
  readonly live = new Map<number, Http2Stream>();
  readonly #options: TableOptions;
  readonly #events: TableEvents;
  /** Streams that we ended and the peer may not have. */
  readonly #ended = new Set<number>();
  #window = CONNECTION_WINDOW;
  #unreturned = 0;
  /** The last stream that the peer opened. */
  #lastStream = 0;
  /** Streams beyond are not taken any more. */
  #lastTaken = MAX_WINDOW;
  #nextStream = 1;

  constructor(options: TableOptions, events: TableEvents) {
    this.#options = options;
    this.#events = events;
  }

  get lastStream(): number {
    return this.#lastStream;
  }

  /** Another stream of ours has a number. */
  get hasNumber(): boolean {
    return this.#nextStream < MAX_WINDOW;
  }

  has(stream: Http2Stream): boolean {
    return this.live.get(stream.id) === stream;
  }

  /** Nobody has opened it. */
  isIdle(id: number): boolean {
    if (this.#options.role === 'client') return id % 2 === 0 || id >= this.#nextStream;
    return id % 2 === 0 || id > this.#lastStream;
  }

  /** The peer opens it; false: it is not taken any more. */
  reserve(id: number): boolean {
    this.#lastStream = id;
    return id <= this.#lastTaken;
  }

  /** No stream beyond those of now is taken. */
  close(): void {
    this.#lastTaken = this.#lastStream;
  }

  /** A stream of ours. */
  open(sendWindow: number): Http2Stream {
    const stream = this.add(this.#nextStream, sendWindow);
    this.#nextStream += 2;
    return stream;
  }

  add(id: number, sendWindow: number): Http2Stream {
    const windows = { receive: this.#options.windowBytes, send: sendWindow };
    const isClient = this.#options.role === 'client';
    const stream = new Http2Stream(id, windows, isClient, this.#giveBack, (each) => this.#events.cancelled(each));
    this.live.set(id, stream);
    return stream;
  }

  remove(stream: Http2Stream): void {
    if (this.live.delete(stream.id)) this.#events.closed();
  }

  /** We ended it. */
  remember(id: number): void {
    this.#ended.add(id);
    if (this.#ended.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#ended;
    if (oldest !== undefined) this.#ended.delete(oldest);
  }

  /** A frame of a stream that is no more. @throws ConnectionFault where the peer knew that. */
  checkLate(id: number): void {
    if (this.isIdle(id)) throw new ConnectionFault('PROTOCOL_ERROR', 'a frame on a stream that nobody opened');
    if (!this.#ended.has(id) && id <= this.#lastTaken)
      throw new ConnectionFault('STREAM_CLOSED', 'a frame on a stream that is over');
  }

  /** So much of DATA has come. @throws ConnectionFault */
  receive(bytes: number): void {
    this.#window -= bytes;
    if (this.#window < 0)
      throw new ConnectionFault('FLOW_CONTROL_ERROR', 'more DATA than the window of the connection');
    this.#unreturned += bytes;
    if (this.#unreturned < CONNECTION_WINDOW / 2) return;
    this.#events.window(0, this.#unreturned);
    this.#window += this.#unreturned;
    this.#unreturned = 0;
  }

  /** Padding, which nobody takes. */
  receivePadding(stream: Http2Stream, bytes: number): void {
    if (bytes > 0) this.#giveBack(stream, bytes);
  }

  /** Bytes of a stream were taken. */
  readonly #giveBack = (stream: Http2Stream, bytes: number): void => {
    stream.unreturned += bytes;
    const isOpen = !stream.isRemoteEnded && this.has(stream);
    if (!isOpen || stream.unreturned < this.#options.windowBytes / 2) return;
    this.#events.window(stream.id, stream.unreturned);
    stream.receiveWindow += stream.unreturned;
    stream.unreturned = 0;
  };
}
