/**
 * Duty: one message onto a stream, with backpressure.
 * In → Out: head bytes and Body → bytes on the sink; resolves with the number of body bytes.
 * Holds: what is here already leaves with the head in one write, and nothing waits for what is not; a body that is not as
 *   long as announced never looks complete, so its last bytes go only when its end is certain; no listener is left behind.
 * Fails: what the body throws, what the signal says; `connection_terminated` where the sink is gone; `internal` for a
 *   body of the wrong length. The body is cancelled then.
 * Source: RFC 9112 §6, §7.1.
 * Not here: ending or destroying the sink, which is its owner's; what a head says (head-writer.ts).
 */
import type { Writable } from 'node:stream';
import { EgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import type { Body, Framing } from '../core/message.ts';
import { joinedBytes } from '../core/secret.ts';
import { fieldLines } from './head-writer.ts';

export interface WriteOptions {
  /** Zero the head's bytes, and every copy of them, as soon as the socket has taken them. */
  readonly zeroHead?: boolean;
  /** The body's bytes and their copies as well. */
  readonly zeroBody?: boolean;
  readonly signal?: AbortSignal;
  /** Called once, right after the head was handed to the sink. */
  readonly onHeadWritten?: () => void;
}

/** Up to here a copy costs less than a write of its own. */
const JOIN_BYTES = 16_384;
const CRLF = Buffer.from('\r\n', 'latin1');
const NOTHING: readonly Buffer[] = [];
const NOTHING_PASSED = Promise.resolve(null);

type Passed = Buffer | null | Promise<null>;
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');

/** A number at once where all of the body was here and the sink took it; never throws. */
export function writeMessage(
  sink: Writable,
  head: Buffer,
  framing: Framing,
  body: Body,
  options: WriteOptions = {},
): number | Promise<number> {
  const first = body.take();
  const outgoing = new OutgoingMessage(sink, head, framing, options);
  if (body.isOver && outgoing.fits(first)) {
    const flows = outgoing.writeWhole(first, body.trailers);
    if (flows) return first?.length ?? 0;
  }
  return writeOn(outgoing, first, body);
}

async function writeOn(outgoing: OutgoingMessage, first: Buffer | null, body: Body): Promise<number> {
  try {
    return await outgoing.write(first, body);
  } catch (thrown) {
    body.cancel();
    throw thrown;
  } finally {
    outgoing.release();
  }
}

interface SinkListeners {
  readonly drained: () => void;
  readonly gone: (cause?: Error) => void;
  readonly aborted: () => void;
}

class OutgoingMessage {
  readonly #sink: Writable;
  readonly #framing: Framing;
  readonly #options: WriteOptions;
  /** Null once it was handed to the sink. */
  #head: Buffer | null;
  #total = 0;
  #isWhole = false;
  #listeners: SinkListeners | null = null;
  #failure: EgressError | null = null;
  #onDrain: (() => void) | null = null;
  #onFailure: ((error: EgressError) => void) | null = null;

  constructor(sink: Writable, head: Buffer, framing: Framing, options: WriteOptions) {
    this.#sink = sink;
    this.#head = head;
    this.#framing = framing;
    this.#options = options;
  }

  /** The whole body can go in one write with the head, and nothing speaks against writing. */
  fits(chunk: Buffer | null): boolean {
    const length = chunk?.length ?? 0;
    const announced = this.#announced();
    const isAlive = !this.#sink.destroyed && !this.#sink.writableEnded && this.#options.signal?.aborted !== true;
    return isAlive && length <= JOIN_BYTES && (announced === null || announced === length);
  }

  /** After `fits`. False where the sink must be waited for, which `write` then does. */
  writeWhole(chunk: Buffer | null, trailers: HeaderList | null): boolean {
    const head = this.#head as Buffer;
    this.#head = null;
    this.#total = chunk?.length ?? 0;
    const end = this.#framing.kind === 'chunked' ? [lastChunk(trailers)] : NOTHING;
    const flows = this.#putHead(head, this.#framed(chunk, end));
    this.#options.onHeadWritten?.();
    this.#isWhole = true;
    return flows;
  }

  async write(first: Buffer | null, body: Body): Promise<number> {
    if (this.#isWhole) {
      await this.#drain();
      return this.#total;
    }
    const announced = this.#announced();
    let chunk = first;
    // Where a length of 0 is announced the head alone would look complete: it waits until the body proves to be empty.
    if (chunk === null && (announced !== 0 || this.#framing.kind === 'none')) await this.#send(null);
    if (chunk === null && this.#framing.kind === 'none') return 0;
    for (;;) {
      if (chunk === null && announced === null && !body.isOver) chunk = await this.#passOn(body);
      chunk ??= body.isOver ? null : await this.#waitFor(body.read());
      if (chunk === null) break;
      this.#total += chunk.length;
      if (announced !== null && this.#total >= announced) await this.#checkEnd(announced, body);
      if (this.#framing.kind === 'chunked' && body.isOver) {
        await this.#send(chunk, [lastChunk(body.trailers)]);
        return this.#total;
      }
      const sending = this.#send(chunk);
      if (sending !== undefined) await sending;
      if (this.#total === announced) return announced;
      chunk = body.take();
    }
    if (announced !== null && this.#total < announced) {
      throw new EgressError('internal', { detail: 'a body is shorter than announced' });
    }
    if (this.#head !== null) await this.#send(null);
    if (this.#framing.kind === 'chunked') await this.#put([lastChunk(body.trailers)]);
    return this.#total;
  }

  /** Takes every listener off; a head that was never handed out is zeroed here. */
  release(): void {
    if (this.#head !== null && this.#options.zeroHead === true) this.#head.fill(0);
    if (this.#listeners === null) return;
    const { drained, gone, aborted } = this.#listeners;
    this.#sink.off('drain', drained);
    this.#sink.off('close', gone);
    this.#sink.off('error', gone);
    this.#options.signal?.removeEventListener('abort', aborted);
  }

  #announced(): number | null {
    const { kind } = this.#framing;
    if (this.#framing.kind === 'length') return this.#framing.length;
    return kind === 'none' ? 0 : null;
  }

  /** Before the last bytes go: nothing comes behind them. A body that knew its length beforehand is taken at its word. */
  async #checkEnd(announced: number, body: Body): Promise<void> {
    if (this.#total === announced && body.take() === null) {
      if (body.isOver || body.length === announced || (await this.#waitFor(body.read())) === null) return;
    }
    throw new EgressError('internal', { detail: 'a body is longer than announced' });
  }

  /** The head where it is due, then `chunk` in its framing. A promise only where the sink must be waited for. */
  #send(chunk: Buffer | null, tail: readonly Buffer[] = NOTHING): Promise<void> | undefined {
    const parts = chunk === null ? NOTHING : this.#framed(chunk, tail);
    const head = this.#head;
    if (head === null) return this.#put(parts);
    this.#checkAlive();
    this.#head = null;
    const joins = chunk !== null && chunk.length <= JOIN_BYTES;
    const flows = this.#putHead(head, joins ? parts : NOTHING);
    this.#options.onHeadWritten?.();
    if (chunk !== null && !joins) return this.#put(parts);
    return flows ? undefined : this.#drain();
  }

  #framed(chunk: Buffer | null, tail: readonly Buffer[]): readonly Buffer[] {
    if (chunk === null) return tail;
    return this.#framing.kind === 'chunked' ? [sizeLine(chunk), chunk, CRLF, ...tail] : [chunk];
  }

  #putHead(head: Buffer, parts: readonly Buffer[]): boolean {
    const isZeroed = this.#options.zeroHead === true;
    const bytes = parts.length === 0 ? head : joinedBytes([head, ...parts], isZeroed);
    if (!isZeroed) return this.#sink.write(bytes);
    const hidesBody = this.#options.zeroBody === true;
    const length = hidesBody ? bytes.length : head.length;
    if (bytes !== head) head.fill(0);
    if (hidesBody) for (const part of parts) part.fill(0);
    return this.#sink.write(bytes, () => bytes.fill(0, 0, length));
  }

  #put(parts: readonly Buffer[]): Promise<void> | undefined {
    this.#checkAlive();
    let flows = true;
    if (this.#options.zeroBody === true) {
      for (const part of parts) flows = this.#sink.write(part, () => part.fill(0));
      return flows ? undefined : this.#drain();
    }
    if (parts.length > 1 && (parts[1]?.length ?? 0) <= JOIN_BYTES) flows = this.#sink.write(joinedBytes(parts, false));
    else {
      this.#sink.cork();
      for (const part of parts) flows = this.#sink.write(part);
      this.#sink.uncork();
    }
    return flows ? undefined : this.#drain();
  }

  #checkAlive(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#options.signal?.aborted === true) throw abortError(this.#options.signal);
    if (this.#sink.destroyed || this.#sink.writableEnded) throw goneError(null);
  }

  #drain(): Promise<void> | undefined {
    // The sink may have taken everything within the call.
    if (!this.#sink.writableNeedDrain && !this.#sink.destroyed) return undefined;
    this.#listen();
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#onDrain = resolve;
      this.#onFailure = reject;
    });
  }

  /**
   * Passes on what comes as long as nothing but bytes comes, and they flow. The chunk that was not passed on is the last one;
   * null: `read` tells more. One promise for all events of a stream, since what waits behind a quiet one is copied by the collector.
   */
  #passOn(body: Body): Promise<Buffer | null> {
    if (body.wait === undefined) return NOTHING_PASSED;
    this.#listen();
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (outcome: Passed): void => {
        isOver = true;
        resolve(outcome);
      };
      const fail = (reason: unknown): void => {
        isOver = true;
        reject(reason);
      };
      const step = (): void => {
        if (isOver) return;
        try {
          const outcome = this.#passHere(body);
          if (outcome !== undefined) end(outcome);
          else if (body.wait?.(step) !== true) end(null);
        } catch (thrown) {
          fail(thrown);
        }
      };
      this.#onFailure = fail;
      if (this.#failure !== null) fail(this.#failure);
      else if (body.wait?.(step) !== true) end(null);
    });
  }

  /** What is here already. Undefined: all of it went, and more may come. */
  #passHere(body: Body): Passed | undefined {
    let chunk = body.take();
    if (chunk === null) return null;
    for (; chunk !== null; chunk = body.take()) {
      if (body.isOver) return chunk;
      this.#total += chunk.length;
      const stalled = this.#send(chunk);
      if (stalled !== undefined) return stalled.then(() => null);
    }
    return body.isOver ? null : undefined;
  }

  /** What the body brings, or the failure of the sink, whichever comes first. */
  #waitFor(reading: Promise<Buffer | null>): Promise<Buffer | null> {
    this.#listen();
    return new Promise((resolve, reject) => {
      reading.then(resolve, reject);
      if (this.#failure !== null) return reject(this.#failure);
      this.#onFailure = reject;
    });
  }

  #listen(): void {
    if (this.#listeners !== null) return;
    const { signal } = this.#options;
    const drained = (): void => {
      this.#onDrain?.();
      this.#onDrain = null;
    };
    const gone = (cause?: Error): void => this.#fail(goneError(cause ?? null));
    const aborted = (): void => {
      if (signal !== undefined) this.#fail(abortError(signal));
    };
    this.#listeners = { drained, gone, aborted };
    this.#sink.on('drain', drained);
    this.#sink.on('close', gone);
    this.#sink.on('error', gone);
    signal?.addEventListener('abort', aborted, { once: true });
    if (signal?.aborted === true) aborted();
    if (this.#sink.destroyed) gone();
  }

  #fail(error: EgressError): void {
    this.#failure ??= error;
    this.#onFailure?.(this.#failure);
  }
}

function goneError(cause: Error | null): EgressError {
  return new EgressError('connection_terminated', {
    detail: 'the connection ended while a message was written',
    cause,
  });
}

function abortError({ reason }: AbortSignal): EgressError {
  return reason instanceof EgressError ? reason : goneError(reason instanceof Error ? reason : null);
}

function sizeLine(chunk: Buffer): Buffer {
  return Buffer.from(`${chunk.length.toString(16)}\r\n`, 'latin1');
}

function lastChunk(trailers: HeaderList | null): Buffer {
  return trailers === null ? LAST_CHUNK : Buffer.from(`0\r\n${fieldLines(trailers)}\r\n`, 'latin1');
}
