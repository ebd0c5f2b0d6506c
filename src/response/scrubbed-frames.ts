/**
 * Duty: takes every occurrence of a secret out of the frames that a server sends.
 * In → Out: Body of frames → frames of the same lengths, each byte that belonged to an occurrence replaced by `*`.
 * Holds: an occurrence is found across the fragments of a message; a message leaves whole with its last byte, and a control
 *   frame passes at once where nothing is held; text stays valid UTF-8, for needles are ASCII.
 * Fails: `http_protocol_error` for what is no frame.
 * Source: RFC 6455 §5.4, §5.5 (control frames between fragments).
 * Not here: counts and limits (tunnel/relay.ts).
 */
import type { Body } from '../core/message.ts';
import { FrameScanner, isControl, type Piece } from '../websocket/frames.ts';
import type { NeedleSet } from './needle-set.ts';
import { Scrubber } from './scrub.ts';

export class ScrubbedFrames implements Body {
  readonly length = null;
  readonly trailers = null;
  readonly #source: Body;
  readonly #needles: NeedleSet;
  readonly #scanner = new FrameScanner(false, 'http_protocol_error');
  readonly #messages: Scrubber;
  #controls = 0;
  /** Payload of messages that the scrubber holds back, and what must come behind its byte number `at`. */
  #held = 0;
  #behind: { readonly at: number; readonly bytes: Buffer }[] = [];
  #control: Buffer[] = [];
  #failure: unknown = null;

  constructor(source: Body, needles: NeedleSet) {
    this.#source = source;
    this.#needles = needles;
    this.#messages = new Scrubber(needles);
  }

  /** Occurrences so far. */
  get count(): number {
    return this.#messages.count + this.#controls;
  }

  get isOver(): boolean {
    return this.#source.isOver && this.#held === 0;
  }

  async read(): Promise<Buffer | null> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const chunk = await this.#source.read();
      if (chunk === null) return null;
      const clean = this.#clean(chunk);
      if (clean !== null && clean.length > 0) return clean;
    }
  }

  take(): Buffer | null {
    for (;;) {
      const chunk = this.#failure === null ? this.#source.take() : null;
      if (chunk === null) return null;
      const clean = this.#clean(chunk);
      if (clean === null || clean.length > 0) return clean;
    }
  }

  cancel(): void {
    this.#source.cancel();
  }

  /** Null where the bytes are no frames; `read` tells. */
  #clean(chunk: Buffer): Buffer | null {
    try {
      const out: Buffer[] = [];
      for (const piece of this.#scanner.scan(chunk)) this.#pass(piece, out);
      return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
    } catch (thrown) {
      this.#failure = thrown;
      return null;
    }
  }

  #pass(piece: Piece, out: Buffer[]): void {
    if (isControl(piece.frame)) this.#passControl(piece, out);
    else if (piece.kind === 'head') {
      this.#put(piece.bytes, out);
      if (piece.isLast && piece.frame.isFinal) this.#release(this.#messages.flush(), out);
    } else
      this.#release(this.#messages.push(piece.bytes, piece.isLast && piece.frame.isFinal), out, piece.bytes.length);
  }

  /** A control frame is small and comes whole before it passes. */
  #passControl({ bytes, isLast }: Piece, out: Buffer[]): void {
    this.#control.push(bytes);
    if (!isLast) return;
    const frame = Buffer.concat(this.#control);
    this.#control = [];
    for (const [start, end] of this.#needles.find(frame)) {
      frame.fill('*', start, end);
      this.#controls += 1;
    }
    this.#put(frame, out);
  }

  /** Bytes that must not overtake the payload before them. */
  #put(bytes: Buffer, out: Buffer[]): void {
    if (this.#held === 0) out.push(bytes);
    else this.#behind.push({ at: this.#held, bytes });
  }

  /** `ready` is the beginning of what is held together with `added` more bytes. */
  #release(ready: Buffer, out: Buffer[], added = 0): void {
    this.#held += added;
    let rest = ready;
    let passed = 0;
    while (this.#behind[0] !== undefined && this.#behind[0].at <= ready.length) {
      const { at, bytes } = this.#behind.shift() as { at: number; bytes: Buffer };
      if (at > passed) out.push(rest.subarray(0, at - passed));
      rest = rest.subarray(at - passed);
      passed = at;
      out.push(bytes);
    }
    if (rest.length > 0) out.push(rest);
    this.#held -= ready.length;
    this.#behind = this.#behind.map(({ at, bytes }) => ({ at: at - ready.length, bytes }));
  }
}
