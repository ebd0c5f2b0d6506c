/**
 * Duty: one stream: what comes on it, what goes out on it, and how it ended.
 * Holds: it ends once; what arrived is as long as was announced, or it ends with a fault.
 * Source: RFC 9113 §5.1, §8.1.1.
 * Not here: frames (machine.ts).
 */
import type { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import { malformed } from './field-rules.ts';
import type { Decoded } from './hpack-decoder.ts';
import type { Sender } from './sender.ts';
import { StreamBody } from './stream-body.ts';

export interface StreamListener {
  /** A head, while `awaitsHead`; of a response each interim one too. @throws StreamFault */
  head(decoded: Decoded, endsStream: boolean): void;
  /** It broke; once, and never after it ended in order on both sides. `isUnprocessed`: the peer says that nothing was done. */
  failed(error: EgressError, isUnprocessed: boolean): void;
}

export class Http2Stream {
  readonly id: number;
  readonly body: StreamBody;
  /** Set right behind the constructor. */
  listener: StreamListener | null = null;
  /** What comes next is a head, not trailers. */
  awaitsHead: boolean;
  sender: Sender | null = null;
  isRemoteEnded = false;
  isLocalEnded = false;
  /** What the peer may still send, in `bytes`. */
  receiveWindow: number;
  /** Taken and not told to the peer. */
  unreturned = 0;
  /** Before a sender has it. */
  #sendWindow: number;
  /** Of the body that came. */
  receivedBytes = 0;

  constructor(
    id: number,
    windows: { readonly receive: number; readonly send: number },
    awaitsHead: boolean,
    onTaken: (stream: Http2Stream, bytes: number) => void,
    onCancel: (stream: Http2Stream) => void,
  ) {
    this.id = id;
    this.receiveWindow = windows.receive;
    this.#sendWindow = windows.send;
    this.awaitsHead = awaitsHead;
    this.body = new StreamBody(
      (bytes) => onTaken(this, bytes),
      () => onCancel(this),
    );
  }

  get isOver(): boolean {
    return this.isRemoteEnded && this.isLocalEnded;
  }

  /** @throws StreamFault */
  arrived(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    if (this.body.length !== null && this.receivedBytes > this.body.length)
      throw malformed(this.id, 'more data than content-length announces');
    this.body.arrived(bytes);
  }

  /** @throws StreamFault */
  ended(trailers: HeaderList | null): void {
    if (this.body.length !== null && this.receivedBytes !== this.body.length)
      throw malformed(this.id, 'less data than content-length announces');
    this.isRemoteEnded = true;
    this.body.ended(trailers);
  }

  /** What the peer takes, in `bytes`; may be negative. */
  get sendWindow(): number {
    return this.sender?.window ?? this.#sendWindow;
  }

  widen(increment: number): void {
    if (this.sender === null) this.#sendWindow += increment;
    else this.sender.widen(increment);
  }

  /** Both directions are over. */
  fail(error: EgressError, isUnprocessed: boolean): void {
    this.body.failed(error);
    this.sender?.fail(error);
    this.listener?.failed(error, isUnprocessed);
  }
}
