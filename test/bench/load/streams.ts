/**
 * Duty: thousands of open event streams, and how long each event took from the upstream to here.
 * Holds: every stream must begin with a 200 and bring its events in order, none lost, none doubled; a stream that ends is an error.
 */
import type { TLSSocket } from 'node:tls';
import type { Way } from '../candidates/candidate.ts';
import { openTls } from './client.ts';
import { nowUs } from './clock.ts';
import { openMany } from './closed-loop.ts';
import { EventReader } from './event-reader.ts';
import { getRequest } from './requests.ts';

export class EventStreams {
  readonly #sockets: TLSSocket[] = [];
  /** In `µs`; null: not measuring. */
  #delays: number[] | null = null;
  #fail: (error: Error) => void = () => undefined;
  /** Rejects as soon as a stream does what it must not. */
  readonly #failure: Promise<never>;
  #isClosed = false;

  constructor() {
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => undefined);
  }

  get count(): number {
    return this.#sockets.length;
  }

  async open(way: Way, count: number): Promise<void> {
    const request = getRequest(way, '/events');
    await Promise.race([openMany(count, () => this.#openOne(way, request)), this.#failure]);
  }

  /** Delays of the events that arrive within this time. */
  async measure(ms: number): Promise<number[]> {
    const delays: number[] = [];
    this.#delays = delays;
    await this.watch(ms);
    this.#delays = null;
    return delays;
  }

  /** Waits, and fails where a stream fails meanwhile. */
  async watch(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([over, this.#failure]).finally(() => clearTimeout(timer));
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  async #openOne(way: Way, request: Buffer): Promise<void> {
    const socket = await openTls(way);
    this.#sockets.push(socket);
    const number = this.#sockets.length;
    await new Promise<void>((begun) => {
      const reader = new EventReader();
      socket.on('data', (bytes: Buffer) => {
        const arrivedUs = nowUs();
        try {
          for (const atUs of reader.push(bytes)) this.#delays?.push(arrivedUs - atUs);
        } catch (thrown) {
          this.#broken(number, thrown instanceof Error ? thrown.message : String(thrown));
        }
        if (reader.hasBegun) begun();
      });
      socket.on('error', (error) => this.#broken(number, `failed with ${error.message}`));
      socket.on('close', () => {
        this.#broken(number, `ended ${reader.hasBegun ? `after ${reader.count} events` : 'without an answer'}`);
      });
      socket.write(request);
    });
  }

  #broken(number: number, what: string): void {
    if (!this.#isClosed) this.#fail(new Error(`stream ${number} of ${this.#sockets.length} ${what}`));
  }
}
