/**
 * Duty: runs a campaign in a thread of its own, so that a case that never ends can be seen from outside.
 * In → Out: `WorkerOrder` → `WorkerReport`s; the number of the running case stands in shared memory.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Campaign, type Finding, type Totals } from './campaign.ts';
import { TARGETS } from './targets/all.ts';
import { GoReader } from './wire/go-reader.ts';

export interface WorkerOrder {
  readonly seed: number;
  readonly targets: readonly string[];
  readonly usesGo: boolean;
  readonly cases: number;
  readonly untilMs: number;
  /** One number: the case that is running. */
  readonly running: SharedArrayBuffer;
}

export interface WorkerReport {
  readonly isLast: boolean;
  readonly cases: number;
  readonly totals: Totals;
  readonly findings: readonly Finding[];
  /** Why Go was not asked; null where it was. */
  readonly withoutGo: string | null;
}

const REPORT_EVERY = 1_000;
/** Half of all cases are refused by a throw; its stack is the dearest part, and nobody reads it. */
Error.stackTraceLimit = 0;

async function run(order: WorkerOrder, report: (report: WorkerReport) => void): Promise<void> {
  const running = new Float64Array(order.running);
  const go = order.usesGo ? GoReader.open() : '--no-go';
  const withoutGo = typeof go === 'string' ? go : null;
  const targets = TARGETS.filter(({ name }) => order.targets.includes(name));
  const campaign = new Campaign(order.seed, targets, typeof go === 'string' ? null : go);
  const { totals, findings } = campaign;
  let index = 0;
  try {
    for (; index < order.cases && !campaign.isFull; index++) {
      if (index % REPORT_EVERY === 0) {
        if (Date.now() >= order.untilMs) break;
        report({ isLast: false, cases: index, totals, findings, withoutGo });
      }
      running[0] = index;
      await campaign.run(index);
    }
    await campaign.settle();
  } finally {
    if (typeof go !== 'string') go.close();
  }
  report({ isLast: true, cases: index, totals, findings, withoutGo });
}

await run(workerData as WorkerOrder, (report) => parentPort?.postMessage(report));
