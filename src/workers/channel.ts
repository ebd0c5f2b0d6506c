/**
 * Duty: questions and answers over the private channel, in both directions.
 * In → Out: topic and body → the answer, or the error that the other side threw.
 * Holds: frames arrive in the order in which they were sent, which is what makes a revocation certain; what is asked in one
 *   turn of the event loop is one write; bytes of a secret are zeroed when they are written.
 * Fails: what the other side threw, by code; `internal` when the channel is closed.
 * Not here: what is asked (topics.ts), who answers (owner-desk.ts, worker-link.ts).
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { EgressError, type ErrorCode, toEgressError } from '../core/errors.ts';
import { encodeFrame, type Frame, FrameReader, KIND } from './frames.ts';

/** Bytes that are zeroed once they are on their way. */
export class SecretBody {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

export type Body = string | Uint8Array | SecretBody;

/** The one at this end. `body` is valid until the call returns or first awaits. */
export interface Desk {
  answer(topic: number, body: Buffer): Body | Promise<Body>;
  hear(topic: number, body: Buffer): void;
  /** Once. */
  closed(): void;
}

interface Asked {
  read(body: Buffer): void;
  fail(error: EgressError): void;
}

const READ_BYTES = 64 * 1024;

/** The channel that a worker finds at `fd`; one buffer takes all that is read, so that no secret stays in another. */
export function openChannelAt(fd: number, desk: Desk): Channel {
  const onread = {
    buffer: Buffer.alloc(READ_BYTES),
    callback: (bytes: number, buffer: Uint8Array): boolean => {
      channel.receive(buffer.subarray(0, bytes) as Buffer);
      return true;
    },
  };
  const channel: Channel = new Channel(new Socket({ fd, readable: true, writable: true, onread }), desk);
  return channel;
}

export class Channel {
  readonly #stream: Duplex;
  readonly #desk: Desk;
  readonly #reader = new FrameReader((frame) => this.#take(frame));
  readonly #asked = new Map<number, Asked>();
  #out: Buffer[] = [];
  #isSecret = false;
  #isScheduled = false;
  #isClosed = false;
  #count = 0;

  constructor(stream: Duplex, desk: Desk) {
    this.#stream = stream;
    this.#desk = desk;
    stream.on('data', (chunk: Buffer) => this.receive(chunk));
    stream.on('error', () => this.close());
    stream.on('end', () => this.close());
    stream.on('close', () => this.close());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** `read` is called with the answer before anything else that came after it; its result is what this resolves with. */
  ask<T>(topic: number, body: Body, read: (answer: Buffer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(closedError());
      this.#count = (this.#count % 0xffff_ffff) + 1;
      this.#asked.set(this.#count, {
        read: (answer) => {
          try {
            resolve(read(answer));
          } catch (thrown) {
            reject(thrown);
          }
        },
        fail: reject,
      });
      this.#send(KIND.ask, topic, this.#count, body);
    });
  }

  tell(topic: number, body: Body): void {
    this.#send(KIND.tell, topic, 0, body);
  }

  /** Bytes from the stream. */
  receive(chunk: Buffer): void {
    if (this.#isClosed) return;
    try {
      this.#reader.push(chunk);
    } catch {
      // The other end speaks another language: nothing that it says can be believed.
      this.close();
    }
  }

  /** Writes now what would be written at the end of this turn. */
  flush(): void {
    const frames = this.#out;
    const isSecret = this.#isSecret;
    this.#isScheduled = false;
    this.#out = [];
    this.#isSecret = false;
    if (frames.length === 0 || this.#isClosed) return;
    const [only] = frames;
    const bytes = frames.length === 1 && only !== undefined ? only : Buffer.concat(frames);
    if (!isSecret) return void this.#stream.write(bytes);
    if (bytes !== only) for (const frame of frames) frame.fill(0);
    this.#stream.write(bytes, () => bytes.fill(0));
  }

  /** Sends what waits, then closes; every open question fails. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#stream.end();
    this.#stream.on('error', () => {});
    for (const { fail } of this.#asked.values()) fail(closedError());
    this.#asked.clear();
    this.#desk.closed();
  }

  #take({ kind, topic, id, body }: Frame): void {
    if (kind === KIND.tell) this.#desk.hear(topic, body);
    else if (kind === KIND.ask) this.#answer(topic, id, body);
    else if (kind === KIND.answer) this.#question(id)?.read(body);
    else if (kind === KIND.failure) {
      // Read before the question is taken out, so that one that cannot be read still fails with the channel.
      const error = readFailure(body);
      this.#question(id)?.fail(error);
    } else throw new EgressError('internal', { detail: 'a frame of no kind' });
  }

  #question(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    return asked;
  }

  #answer(topic: number, id: number, body: Buffer): void {
    const fail = (thrown: unknown): void => this.#send(KIND.failure, topic, id, failureText(toEgressError(thrown)));
    try {
      const answer = this.#desk.answer(topic, body);
      if (answer instanceof Promise) answer.then((later) => this.#send(KIND.answer, topic, id, later), fail);
      else this.#send(KIND.answer, topic, id, answer);
    } catch (thrown) {
      fail(thrown);
    }
  }

  #send(kind: number, topic: number, id: number, body: Body): void {
    const isSecret = body instanceof SecretBody;
    if (this.#isClosed) {
      if (isSecret) body.bytes.fill(0);
      return;
    }
    this.#out.push(encodeFrame(kind, topic, id, isSecret ? body.bytes : body));
    if (isSecret) {
      body.bytes.fill(0);
      this.#isSecret = true;
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Somebody waits for an answer; questions and news of one turn go together.
    if (kind === KIND.answer || kind === KIND.failure) queueMicrotask(() => this.flush());
    else setImmediate(() => this.flush());
  }
}

function failureText({ code, detail, retryAfterMs }: EgressError): string {
  return JSON.stringify({ code, detail, retryAfterMs });
}

function readFailure(body: Buffer): EgressError {
  const { code, detail, retryAfterMs } = JSON.parse(body.toString('utf8')) as {
    code: ErrorCode;
    detail: string | null;
    retryAfterMs: number | null;
  };
  return new EgressError(code, {
    ...(detail === null ? {} : { detail }),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}

const closedError = (): EgressError =>
  new EgressError('overload', { detail: 'the worker of this connection is ending', retryAfterMs: 1_000 });
