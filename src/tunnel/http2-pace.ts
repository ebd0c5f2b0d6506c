/**
 * Duty: how long a workload may take on a connection of HTTP/2: to begin, to end a head, to send bodies, to take answers.
 * In → Out: what is under way → an end of the stream, or of the connection, that took too long.
 * Holds: the limits are those of HTTP/1.1 (pace.ts), for each stream; a body is slow only while somebody waits for it. A call of
 *   gRPC, or a stream whose answer has begun, may be silent as long as a tunnel may, and live as long as a WebSocket. Exact to a
 *   quarter of the limit.
 * Source: RFC 9110 §15.5.9 (408).
 */
import type { Deadlines, Watched } from '../core/deadlines.ts';
import { EgressError } from '../core/errors.ts';
import type { Http2Machine } from '../http2/machine.ts';
import type { Http2Request } from './http2-request.ts';
import type { PaceLimits } from './pace.ts';

export interface Http2PaceLimits extends PaceLimits {
  readonly webSocketLifetimeMs: number;
}

/** What is looked at. */
export interface Watch {
  readonly machine: Http2Machine;
  readonly running: ReadonlySet<Http2Request>;
  /** Bytes of the socket, and whether one of ours waits for it. */
  readonly bytesWritten: () => number;
  readonly isWriting: () => boolean;
  /** Nothing was asked for too long. */
  idle(): void;
  /** The whole connection. */
  giveUp(error: EgressError): void;
}

interface Mark {
  readonly sinceMs: number;
  movedAtMs: number;
  moved: number;
  /** Of the body, for its rate. */
  markedAtMs: number;
  markedBytes: number;
  wasAwaited: boolean;
}

export class Http2Pace implements Watched {
  deadline: number;
  readonly #limits: Http2PaceLimits;
  readonly #deadlines: Deadlines;
  readonly #watch: Watch;
  readonly #marks = new WeakMap<Http2Request, Mark>();
  readonly #startedMs: number;
  readonly #stepMs: number;
  #idleSinceMs: number;
  #head: { readonly progress: number | null; readonly sinceMs: number } = { progress: null, sinceMs: 0 };
  #written = { bytes: -1, sinceMs: 0 };

  constructor(limits: Http2PaceLimits, deadlines: Deadlines, watch: Watch) {
    this.#limits = limits;
    this.#deadlines = deadlines;
    this.#watch = watch;
    const now = deadlines.in(0);
    this.#startedMs = now;
    this.#idleSinceMs = now;
    this.#stepMs = Math.min(
      limits.idleTimeoutMs / 4,
      limits.requestHeadTimeoutMs / 4,
      limits.requestTimeoutMs / 4,
      Math.max(limits.bodyRateGraceMs / 3, 100),
    );
    this.deadline = now + this.#stepMs;
    deadlines.watch(this);
  }

  end(): void {
    this.#deadlines.unwatch(this);
  }

  expire(): void {
    const now = this.#deadlines.in(0);
    this.deadline = now + Math.max(1, this.#stepMs);
    this.#deadlines.watch(this);
    const failure = this.#lookAtHead(now) ?? this.#lookAtWriting(now);
    if (failure !== null) {
      this.#watch.giveUp(failure);
      return;
    }
    for (const request of [...this.#watch.running]) this.#lookAt(request, now);
    if (this.#watch.running.size > 0 || this.#watch.machine.isWithin) this.#idleSinceMs = now;
    else if (now >= this.#idleSinceMs + this.#limits.idleTimeoutMs) this.#watch.idle();
  }

  /** The preface, a head or any other frame that has begun. */
  #lookAtHead(now: number): EgressError | null {
    const { machine } = this.#watch;
    const limitMs = this.#limits.requestHeadTimeoutMs;
    if (!machine.isUp && now >= this.#startedMs + limitMs)
      return new EgressError('request_timeout', { detail: 'the preface did not come in time' });
    const progress = machine.isWithin ? machine.progress : null;
    if (progress === null || progress !== this.#head.progress) this.#head = { progress, sinceMs: now };
    else if (now >= this.#head.sinceMs + limitMs)
      return new EgressError('request_timeout', { detail: 'a frame or a head did not end in time' });
    return null;
  }

  #lookAtWriting(now: number): EgressError | null {
    const bytes = this.#watch.isWriting() ? this.#watch.bytesWritten() : -1;
    if (bytes === -1 || bytes !== this.#written.bytes) this.#written = { bytes, sinceMs: now };
    else if (now >= this.#written.sinceMs + this.#limits.idleTimeoutMs)
      return new EgressError('downstream_aborted', { detail: 'the workload stopped reading' });
    return null;
  }

  #lookAt(request: Http2Request, now: number): void {
    const { stream } = request;
    const sent = stream.sender?.total ?? 0;
    const moved = stream.receivedBytes + sent;
    const mark = this.#markOf(request, now, moved);
    if (moved !== mark.moved) {
      mark.moved = moved;
      mark.movedAtMs = now;
    }
    const isStuck = now >= mark.movedAtMs + this.#limits.idleTimeoutMs;
    const isOld = now >= mark.sinceMs + this.#limits.webSocketLifetimeMs;
    if (stream.sender?.isBlocked === true && isStuck)
      request.end(new EgressError('downstream_aborted', { detail: 'the workload stopped reading' }));
    else if (stream.isRemoteEnded) return;
    else if (!request.isStreaming) this.#lookAtBody(request, mark, now);
    else if (isStuck || isOld)
      request.end(
        new EgressError('request_timeout', { detail: isOld ? 'the stream is too old' : 'the stream is idle' }),
      );
  }

  #lookAtBody(request: Http2Request, mark: Mark, now: number): void {
    const { requestTimeoutMs, minBodyBytesPerSecond, bodyRateGraceMs } = this.#limits;
    const { receivedBytes, body } = request.stream;
    const due = (minBodyBytesPerSecond * (now - mark.markedAtMs)) / 1_000;
    const isSlow = now >= mark.sinceMs + bodyRateGraceMs && receivedBytes - mark.markedBytes < due;
    if (now >= mark.sinceMs + requestTimeoutMs)
      request.giveUp(new EgressError('request_timeout', { detail: 'the body did not end in time' }));
    else if (body.isAwaited && mark.wasAwaited && isSlow)
      request.giveUp(
        new EgressError('request_timeout', { detail: `the body comes slower than ${minBodyBytesPerSecond} B/s` }),
      );
    mark.markedAtMs = now;
    mark.markedBytes = receivedBytes;
    mark.wasAwaited = body.isAwaited;
  }

  #markOf(request: Http2Request, now: number, moved: number): Mark {
    let mark = this.#marks.get(request);
    if (mark === undefined) {
      mark = {
        sinceMs: now,
        movedAtMs: now,
        moved,
        markedAtMs: now,
        markedBytes: request.stream.receivedBytes,
        wasAwaited: false,
      };
      this.#marks.set(request, mark);
    }
    return mark;
  }
}
