/**
 * Duty: the lease engine alone: sources, cache and journal of the product, in a process that can be measured.
 * In → Out: port, speed, beginning, world, journal → `POST /fill?count=&overMs=` (each workload asks once), `POST /herd?name=&count=` (so
 *   many requests of one workload at once), `GET /figures`.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CredentialSourceOptions } from '../../../src/credential/options.ts';
import { createCredentialStage, type LeaseEvent } from '../../../src/credential/stage.ts';
import { openLeaseJournal } from '../../../src/store/lease-journal.ts';
import { mintWith, VAULT_ALONE } from '../../unit/credential/lease-world.ts';
import { permit, workload } from '../../unit/credential/permits.ts';
import { fastClock } from '../load/fast-clock.ts';

const [port = '', speed = '', begin = '', worldFile = '', journalFile = ''] = process.argv.slice(2);
const clock = fastClock(Number(speed), Number(begin));
const world = JSON.parse(readFileSync(worldFile, 'utf8')) as { sources: CredentialSourceOptions[]; keyPem: string };
/** By kind, and failures by code too. */
const counts: Record<string, number> = {};
const journal = openLeaseJournal({
  ...{ path: journalFile, ownUid: process.getuid?.() ?? 0, clock },
  onFailure: (error) => {
    throw error;
  },
});
const stage = createCredentialStage({
  ...VAULT_ALONE,
  ...{ sources: () => world.sources, clock, random: Math.random, sandboxVaultAddress: null, journal },
  mintToken: (caller) => mintWith(world.keyPem, caller.name, clock),
  observe: ({ kind, code }: LeaseEvent) => {
    counts[kind] = (counts[kind] ?? 0) + 1;
    if (code !== null) counts[code] = (counts[code] ?? 0) + 1;
  },
});
const never = new AbortController().signal;

async function ask(name: string): Promise<void> {
  const credential = await stage.obtain(permit(workload(name)), never);
  if (credential !== null) stage.release(credential);
}

const LANES = 40;

/** Evenly over so much real time. */
async function fill(count: number, overMs: number): Promise<void> {
  const from = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const each = next++;
      const waitMs = from + (each / count) * overMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      await ask(`agent-${each}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function run(path: string, query: URLSearchParams): Promise<object> {
  const count = Number(query.get('count'));
  const from = performance.now();
  if (path === '/fill') await fill(count, Number(query.get('overMs')));
  if (path === '/herd') await Promise.all(Array.from({ length: count }, () => ask(query.get('name') ?? '')));
  const ms = performance.now() - from;
  if (path === '/figures') globalThis.gc?.();
  return { ms, counts, live: stage.list().length, heapBytes: process.memoryUsage().heapUsed };
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://engine');
  void run(pathname, searchParams).then(
    (figures) => response.end(JSON.stringify(figures)),
    (thrown: unknown) => response.writeHead(500).end(String(thrown)),
  );
}).listen(Number(port), '127.0.0.1');
