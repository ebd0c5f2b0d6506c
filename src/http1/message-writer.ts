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
import { fieldLines } from './head-writer.ts';

export interface WriteOptions {
  /** Zero the head's bytes, and every copy of them, as soon as the socket has taken them. */
  readonly zeroHead?: boolean;
  readonly signal?: AbortSignal;
  /** Called once, right after the head was handed to the sink. */
  readonly onHeadWritten?: () => void;
}

/** Up to here a copy costs less than a write of its own. */
const JOIN_BYTES = 16_384;
const CRLF = Buffer.from('\r\n', 'latin1');
/** Of promises: more than the layers between a parser and this file. */
const MAX_HOPS = 12;
const NOTHING: readonly Buffer[] = [];
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');

export async function writeMessage(
  sink: Writable,
  head: Buffer,
  framing: Framing,
  body: Body,
  options: WriteOptions = {},
): Promise<number> {
  const outgoing = new OutgoingMessage(sink, head, framing, options);
  try {
    return await outgoing.write(body);
  } catch (thrown) {
    body.cancel();
    throw thrown;
  } finally {
    outgoing.release();
  }
}

class OutgoingMessage {
  readonly #sink: Writable;
  readonly #framing: Framing;
  readonly #options: WriteOptions;
  /** Null once it was handed to the sink. */
  #head: Buffer | null;
  #total = 0;
  #isListening = false;
  #failure: EgressError | null = null;
  #onDrain: (() => void) | null = null;
  #onFailure: ((error: EgressError) => void) | null = null;

  constructor(sink: Writable, head: Buffer, framing: Framing, options: WriteOptions) {
    this.#sink = sink;
    this.#head = head;
    this.#framing = framing;
    this.#options = options;
  }

  async write(body: Body): Promise<number> {
    const announced = this.#announced();
    let chunk = body.take();
    // Where a length of 0 is announced the head alone would look complete: it waits until the body proves to be empty.
    if (chunk === null && (announced !== 0 || this.#framing.kind === 'none')) await this.#send(null);
    if (chunk === null && this.#framing.kind === 'none') return 0;
    let reading: Promise<Buffer | null> | null = null;
    for (;;) {
      chunk ??= await this.#waitFor(reading ?? body.read());
      reading = null;
      if (chunk === null) break;
      this.#total += chunk.length;
      if (announced !== null && this.#total >= announced) await this.#checkEnd(announced, body);
      let next: Buffer | null = null;
      if (this.#head !== null && this.#framing.kind === 'chunked') {
        next = body.take();
        reading = next === null ? body.read() : null;
        if (reading !== null && (await endsNow(reading))) {
          await this.#send(chunk, [lastChunk(body.trailers)]);
          return this.#total;
        }
      }
      const sending = this.#send(chunk);
      if (sending !== undefined) await sending;
      if (this.#total === announced) return announced;
      chunk = next ?? (reading === null ? body.take() : null);
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
    if (!this.#isListening) return;
    this.#sink.off('drain', this.#drained);
    this.#sink.off('close', this.#gone);
    this.#sink.off('error', this.#gone);
    this.#options.signal?.removeEventListener('abort', this.#aborted);
  }

  #announced(): number | null {
    const { kind } = this.#framing;
    if (this.#framing.kind === 'length') return this.#framing.length;
    return kind === 'none' ? 0 : null;
  }

  /** Before the last bytes go: nothing comes behind them. A body that knew its length beforehand is taken at its word. */
  async #checkEnd(announced: number, body: Body): Promise<void> {
    if (this.#total === announced && body.take() === null) {
      if (body.length === announced || (await this.#waitFor(body.read())) === null) return;
    }
    throw new EgressError('internal', { detail: 'a body is longer than announced' });
  }

  /** The head where it is due, then `chunk` in its framing. A promise only where the sink must be waited for. */
  #send(chunk: Buffer | null, tail: readonly Buffer[] = NOTHING): Promise<void> | undefined {
    const isChunked = this.#framing.kind === 'chunked';
    const parts = chunk === null ? NOTHING : isChunked ? [sizeLine(chunk), chunk, CRLF, ...tail] : [chunk];
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

  #putHead(head: Buffer, parts: readonly Buffer[]): boolean {
    const isZeroed = this.#options.zeroHead === true;
    const bytes = parts.length === 0 ? head : joined([head, ...parts], isZeroed);
    if (!isZeroed) return this.#sink.write(bytes);
    const { length } = head;
    if (bytes !== head) head.fill(0);
    return this.#sink.write(bytes, () => bytes.fill(0, 0, length));
  }

  #put(parts: readonly Buffer[]): Promise<void> | undefined {
    this.#checkAlive();
    let flows = true;
    if (parts.length > 1 && (parts[1]?.length ?? 0) <= JOIN_BYTES) flows = this.#sink.write(joined(parts, false));
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
    if (this.#isListening) return;
    this.#isListening = true;
    const { signal } = this.#options;
    this.#sink.on('drain', this.#drained);
    this.#sink.on('close', this.#gone);
    this.#sink.on('error', this.#gone);
    signal?.addEventListener('abort', this.#aborted, { once: true });
    if (signal?.aborted === true) this.#aborted();
    if (this.#sink.destroyed) this.#gone();
  }

  readonly #drained = (): void => {
    this.#onDrain?.();
    this.#onDrain = null;
  };

  readonly #gone = (cause?: Error): void => this.#fail(goneError(cause ?? null));

  readonly #aborted = (): void => {
    if (this.#options.signal !== undefined) this.#fail(abortError(this.#options.signal));
  };

  #fail(error: EgressError): void {
    this.#failure ??= error;
    this.#onFailure?.(this.#failure);
  }
}

/**
 * Whether the body ends without anything having to arrive first, so that a short message is one write. Waits for what has
 * happened already to be told through a few layers of promises, and never for anything outside of the process.
 */
async function endsNow(reading: Promise<Buffer | null>): Promise<boolean> {
  let isEnd: boolean | null = null;
  reading.then(
    (chunk) => {
      isEnd = chunk === null;
    },
    () => {
      isEnd = false;
    },
  );
  for (let hop = 0; hop < MAX_HOPS && isEnd === null; hop++) await null;
  return isEnd === true;
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

/** With a secret in it the copy must not come from the shared pool. */
function joined(parts: readonly Buffer[], isSecret: boolean): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = isSecret ? Buffer.allocUnsafeSlow(length) : Buffer.allocUnsafe(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function sizeLine(chunk: Buffer): Buffer {
  return Buffer.from(`${chunk.length.toString(16)}\r\n`, 'latin1');
}

function lastChunk(trailers: HeaderList | null): Buffer {
  return trailers === null ? LAST_CHUNK : Buffer.from(`0\r\n${fieldLines(trailers)}\r\n`, 'latin1');
}
