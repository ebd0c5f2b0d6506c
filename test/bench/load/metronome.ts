/**
 * Duty: a thread that says when the next request is due. A timer of the event loop has whole milliseconds; this has the kernel's.
 * In → Out: workerData → one message a beat.
 * Holds: beat n is due at start + n × interval, however late the one before was.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { nowUs } from './clock.ts';

export interface Beats {
  readonly startUs: number;
  readonly intervalUs: number;
  readonly count: number;
}

const { startUs, intervalUs, count } = workerData as Beats;
const never = new Int32Array(new SharedArrayBuffer(4));
for (let beat = 0; beat < count; beat++) {
  const waitUs = startUs + beat * intervalUs - nowUs();
  if (waitUs > 0) Atomics.wait(never, 0, 0, waitUs / 1_000);
  parentPort?.postMessage(beat);
}
