/**
 * Duty: requests at a fixed rate, whether or not the candidate keeps up, and how long after it was due each was answered.
 * Holds: the clock decides when a request is due; one that finds no free connection waits, and its wait counts. So a stall
 *   is seen by all requests that were due in it (no coordinated omission).
 */
import { Worker } from 'node:worker_threads';
import type { Way } from '../candidates/candidate.ts';
import { Client } from './client.ts';
import { nowUs } from './clock.ts';
import { openMany } from './closed-loop.ts';
import type { Beats } from './metronome.ts';

/** Time for the thread to start. */
const LEAD_US = 300_000;

export interface Schedule {
  readonly ratePerSecond: number;
  readonly requests: number;
  readonly connections: number;
}

/** Latencies in `µs`, unsorted. */
export async function runAtRate(way: Way, request: Buffer, schedule: Schedule): Promise<number[]> {
  const clients = await openMany(schedule.connections, () => Client.open(way));
  const startUs = nowUs() + LEAD_US;
  const beats: Beats = { startUs, intervalUs: 1_000_000 / schedule.ratePerSecond, count: schedule.requests };
  const worker = new Worker(new URL('./metronome.ts', import.meta.url), { workerData: beats });
  try {
    // Opens the candidate's own connections, and wakes its caches.
    await Promise.all(clients.map((client) => client.fetch(request)));
    return await new Run(clients, request, beats).finish(worker);
  } finally {
    for (const client of clients) client.close();
    await worker.terminate();
  }
}

class Run {
  readonly #free: Client[];
  readonly #request: Buffer;
  readonly #beats: Beats;
  readonly #latencies: number[] = [];
  #due = 0;
  #sent = 0;
  #settle: { resolve(latencies: number[]): void; reject(error: Error): void } | null = null;

  constructor(clients: readonly Client[], request: Buffer, beats: Beats) {
    this.#free = [...clients];
    this.#request = request;
    this.#beats = beats;
  }

  finish(worker: Worker): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      worker.on('error', reject);
      worker.on('message', (beat: number) => {
        this.#due = beat + 1;
        this.#send();
      });
    });
  }

  #send(): void {
    while (this.#sent < this.#due) {
      const client = this.#free.pop();
      if (client === undefined) return;
      const dueUs = this.#beats.startUs + this.#sent * this.#beats.intervalUs;
      this.#sent += 1;
      client.exchange(this.#request, (error) => {
        if (error !== null) {
          this.#settle?.reject(error);
          return;
        }
        this.#latencies.push(nowUs() - dueUs);
        this.#free.push(client);
        if (this.#latencies.length === this.#beats.count) this.#settle?.resolve(this.#latencies);
        else this.#send();
      });
    }
  }
}
