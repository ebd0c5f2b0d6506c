/**
 * Duty: how much a peer may ask of us that moves nothing: pings, settings, priorities, empty frames, streams that are begun
 *   and thrown away.
 * In → Out: a cost → nothing, until it was too much.
 * Holds: two budgets that fill up again with time and with bytes that do move; a peer that behaves never meets them.
 * Fails: `ENHANCE_YOUR_CALM`.
 * Source: RFC 9113 §10.5; CVE-2019-9512 to 9518 (floods), CVE-2023-44487 (rapid reset), CVE-2024-27316 (CONTINUATION).
 */
import type { Clock } from '../core/clock.ts';
import { ConnectionFault } from './faults.ts';

const MAX_IDLE_FRAMES = 1_000;
const IDLE_FRAMES_PER_SECOND = 100;
const MAX_RESETS = 200;
const RESETS_PER_SECOND = 30;
/** Each piece of data on its way may cost a window update or two, and whoever measures the line a ping. */
const CREDIT_PER_DATA = 3;

export class FloodGate {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #frames = MAX_IDLE_FRAMES;
  #resets = MAX_RESETS;
  #seenMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#seenMs = clock.monotonicMs();
  }

  /** A frame that moves nothing. @throws ConnectionFault */
  frame(): void {
    this.#frames -= 1;
    if (this.#frames < 0) this.#refill();
    if (this.#frames < 0)
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'more frames that move nothing than the limit');
  }

  /** A stream that came to nothing: reset by the peer, refused, or malformed. @throws ConnectionFault */
  reset(): void {
    this.#resets -= 1;
    if (this.#resets < 0) this.#refill();
    if (this.#resets < 0)
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'more streams were thrown away than the limit');
  }

  /** Bytes of a body went by, in whichever direction. */
  data(): void {
    this.#frames = Math.min(MAX_IDLE_FRAMES, this.#frames + CREDIT_PER_DATA);
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    const seconds = (now - this.#seenMs) / 1_000;
    this.#seenMs = now;
    this.#frames = Math.min(MAX_IDLE_FRAMES, this.#frames + seconds * IDLE_FRAMES_PER_SECOND);
    this.#resets = Math.min(MAX_RESETS, this.#resets + seconds * RESETS_PER_SECOND);
  }
}
