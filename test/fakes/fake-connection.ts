/**
 * Duty: a connection of a workload without a socket: two ends in memory, joined as a loopback would join them.
 * Holds: a FIN arrives after the bytes before it; an end that is destroyed closes the other one.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Connection } from '../../src/listener/connection.ts';

export interface FakeConnection {
  /** What the proxy got from its listener. */
  readonly connection: Connection;
  /** The workload's end. */
  readonly peer: Duplex;
}

let count = 0;

export function openFakeConnection(): FakeConnection {
  const ours = new End();
  const peer = new End();
  ours.other = peer;
  peer.other = ours;
  count += 1;
  const connection: Connection = {
    id: `c${count}`,
    socket: ours as Duplex as Socket,
    way: 'explicit',
    remote: { address: '127.0.0.1', port: 50_000 + (count % 10_000) },
    local: { address: '127.0.0.1', port: 10_080 },
    acceptedAt: 0,
  };
  return { connection, peer };
}

class End extends Duplex {
  other: End | null = null;
  #onTaken: (() => void) | null = null;

  override _read(): void {
    this.#onTaken?.();
    this.#onTaken = null;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const other = this.other;
    if (other === null || other.destroyed) done(new Error('the other end is closed'));
    // A copy, as the kernel makes one: the writer may zero its bytes.
    else other.#take(Buffer.from(chunk), done);
  }

  override _final(done: () => void): void {
    if (this.other?.destroyed === false) this.other.push(null);
    done();
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.other;
    done(error);
    setImmediate(() => other?.destroy());
  }

  #take(chunk: Buffer, taken: () => void): void {
    if (this.push(chunk)) taken();
    else this.#onTaken = taken;
  }
}
