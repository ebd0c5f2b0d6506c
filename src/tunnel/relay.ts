/**
 * Duty: a WebSocket between a workload and an upstream, both directions at once.
 * In → Out: the answer 101 and what is behind it → frames both ways until one side or a limit ends it.
 * Holds: backpressure each way; the first end, whoever's, ends both within moments; what a limit ends is told by a Close
 *   frame where that can stand; nothing moves for longer than the idle time.
 * Fails: `request_malformed`, `http_protocol_error` for what is no frame; what the ends throw.
 * Source: RFC 6455 §5.5.1, §7.
 * Not here: the handshake (requests.ts, upstream/upgrade.ts); secrets in frames (response/).
 */
import type { Duplex } from 'node:stream';
import type { Deadlines, Watched } from '../core/deadlines.ts';
import { EgressError } from '../core/errors.ts';
import type { Body, RelayTally, ResponseHead, Upgraded } from '../core/message.ts';
import { serializeResponseHead } from '../http1/head-writer.ts';
import { writeMessage } from '../http1/message-writer.ts';
import { RawBody } from '../http1/raw-body.ts';
import { FrameBody } from '../websocket/frame-body.ts';
import { closeFrame } from '../websocket/frames.ts';

export interface RelayLimits {
  readonly webSocketLifetimeMs: number;
  readonly webSocketIdleTimeoutMs: number;
}

export interface RelayParts {
  readonly limits: RelayLimits;
  readonly deadlines: Deadlines;
  readonly signal: AbortSignal;
}

/** How long one side may take to follow the other. */
const FOLLOW_MS = 2_000;
const GOING_AWAY = 1_001;

export class Relay implements Watched {
  deadline: number;
  readonly #stream: Duplex;
  readonly #parts: RelayParts;
  readonly #tally: RelayTally;
  readonly #upgraded: Upgraded;
  readonly #down: FrameBody;
  readonly #up: FrameBody;
  readonly #endsAt: number;
  #moved = -1;
  #movedAt: number;
  #isEnding = false;

  /** `early`: what the workload sent behind its request. The relay reads the stream from here on. */
  constructor(stream: Duplex, early: Buffer, down: Body, upgraded: Upgraded, parts: RelayParts) {
    const { deadlines, limits } = parts;
    this.#stream = stream;
    this.#parts = parts;
    this.#upgraded = upgraded;
    this.#tally = upgraded.tally;
    this.#down = new FrameBody(down, false, 'http_protocol_error');
    this.#up = new FrameBody(new RawBody(stream, early, 'downstream_aborted'), true, 'request_malformed');
    this.#movedAt = deadlines.in(0);
    this.#endsAt = deadlines.in(limits.webSocketLifetimeMs);
    this.deadline = this.#nextLook(this.#movedAt);
  }

  /** Until it is over: the number of bytes that went down. The stream is to be closed then. @throws EgressError */
  async run(head: ResponseHead): Promise<number> {
    const { deadlines, signal } = this.#parts;
    deadlines.watch(this);
    const down = writeMessage(this.#stream, switching(head), { kind: 'close' }, this.#down, { signal });
    const downward = Promise.resolve(down).then(() => this.#over('destination'), unreachable);
    const upward = this.#upgraded.send(this.#up).then(() => this.#over('workload'));
    // Only the first failure is told.
    downward.catch(() => {});
    upward.catch(() => {});
    try {
      await this.#firstThenOther(downward, upward);
      return this.#down.bytes;
    } finally {
      deadlines.unwatch(this);
      this.#down.cancel();
      this.#up.cancel();
      this.#tally.framesDown = this.#down.frames;
      this.#tally.framesUp = this.#up.frames;
      this.#tally.bytesUp = this.#up.bytes;
    }
  }

  /** A limit, not an end: the workload is told where a frame may stand. */
  end(why: 'lifetime' | 'idle' | 'drain'): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#tally.ended = why;
    this.#down.end(closeFrame(GOING_AWAY, `countersign: ${why}`));
    this.#up.end(null);
  }

  expire(): void {
    const { deadlines, limits } = this.#parts;
    const now = deadlines.in(0);
    const moved = this.#down.bytes + this.#up.bytes;
    if (moved !== this.#moved) {
      this.#moved = moved;
      this.#movedAt = now;
    }
    if (now >= this.#endsAt) this.end('lifetime');
    else if (now >= this.#movedAt + limits.webSocketIdleTimeoutMs) this.end('idle');
    else {
      this.deadline = this.#nextLook(now);
      deadlines.watch(this);
    }
  }

  #nextLook(now: number): number {
    return Math.max(now + 1, Math.min(this.#endsAt, now + this.#parts.limits.webSocketIdleTimeoutMs / 4));
  }

  #over(who: 'workload' | 'destination'): void {
    if (!this.#isEnding) this.#tally.ended = who;
    this.#isEnding = true;
  }

  /** A failure of either is the outcome; after an orderly end the other side has a moment to say its last word. */
  async #firstThenOther(downward: Promise<void>, upward: Promise<void>): Promise<void> {
    await Promise.race([downward, upward]);
    if (this.#down.isOver) this.#stream.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FOLLOW_MS);
    });
    // Too late, or gone in place of a farewell: it is over all the same.
    await Promise.race([Promise.allSettled([downward, upward]), late]);
    clearTimeout(timer);
  }
}

/** The writer of frames knows no sides: what it could not write to is the workload. */
function unreachable(error: unknown): never {
  const isOurs = error instanceof EgressError && error.code === 'connection_terminated';
  throw isOurs ? new EgressError('downstream_aborted', { cause: error }) : error;
}

/** The two fields of this hop were the upstream's; ours say the same. */
function switching(head: ResponseHead): Buffer {
  const headers = head.headers.copy();
  headers.set('Connection', 'Upgrade');
  headers.set('Upgrade', 'websocket');
  return serializeResponseHead({ ...head, headers, framing: { kind: 'none' } });
}
