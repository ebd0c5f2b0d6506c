/** Duty: what must be true after every playbook, whatever happened in it. */
import { expect } from 'vitest';
import { HeaderList } from '../../src/core/headers.ts';
import { EMPTY_BODY } from '../../src/core/message.ts';
import type { DownstreamRequest } from '../../src/tunnel/tunnel.ts';
import type { CaptureSink } from '../fakes/capture-audit.ts';
import { leaksIn } from '../fakes/leak-search.ts';
import type { Remains } from './playbook.ts';

const SETTLE_MS = 5_000;

export async function assertNothingIsLeft(remains: Remains): Promise<void> {
  const { stages, instances, vault, workload, sink, logLines, unrecorded, serving, thrown } = remains;
  workload.leavesEverything();
  await within(Promise.all(serving), 'a connection is still being served');
  expect(unrecorded, 'requests that left without an intent on record').toEqual([]);
  assertEachIntentIsCompleted(sink);
  const held = stages.credential.list().filter(({ inUse }) => inUse > 0);
  expect(held, 'credentials that were not released').toEqual([]);
  await assertNoTurnIsHeld(remains);

  const readable = [
    ...sink.lines.map((line) => JSON.stringify(line)),
    ...logLines,
    ...thrown,
    await stages.metrics.text(),
    JSON.stringify([
      stages.credential.list(),
      instances.page({ workload: null, labels: {}, after: null, limit: 1_000 }),
    ]),
    workload.received(),
  ].join('\n');
  expect(leaksIn(readable, vault.issued), 'secrets in audit, log, errors, metrics, status or answers').toEqual([]);

  vault.recovers();
  const logins = vault.issued.filter((secret) => secret.startsWith('hvs.')).length;
  const { failed } = await stages.credential.close(SETTLE_MS);
  expect(failed, 'leases that could not be revoked').toBe(0);
  expect(vault.asked.filter((call) => call === 'revoke').length, 'tokens that were not revoked').toBeGreaterThanOrEqual(
    logins,
  );
}

function assertEachIntentIsCompleted(sink: CaptureSink): void {
  const exchanges = (kind: string) =>
    sink.lines.filter((line) => line['kind'] === kind).map((line) => line['exchange'] as string);
  const completed = exchanges('completion');
  expect(
    exchanges('intent').filter((id) => !completed.includes(id)),
    'intents without a completion',
  ).toEqual([]);
  expect(new Set(completed).size, 'completions of one exchange').toBe(completed.length);
}

/** The policy lets one request through at a time: one that was not given back would refuse this one. */
async function assertNoTurnIsHeld({ stages, workload }: Remains): Promise<void> {
  const request = probe(workload.lastTunnel);
  if (request === null) return;
  const decision = await stages.exchange.decide(workload.identity, request);
  expect('reason' in decision ? decision.reason : null, 'turns that were not given back').not.toBe(
    'concurrency_limited',
  );
  if (decision.kind === 'decided') decision.done();
}

function probe(tunnel: DownstreamRequest['tunnel'] | null): DownstreamRequest | null {
  if (tunnel === null) return null;
  const { authority } = tunnel;
  const head = {
    method: 'GET',
    target: '/v1/models',
    form: 'origin',
    authority,
    scheme: null,
    path: '/v1/models',
    query: null,
    version: '1.1',
    headers: new HeaderList(),
    framing: { kind: 'none' },
    expectsContinue: false,
    keepAlive: true,
  } as const;
  const signal = AbortSignal.abort();
  return { tunnel, head, body: EMPTY_BODY, signal, continue: () => {}, respond: () => Promise.reject(new Error()) };
}

async function within<T>(pending: Promise<T>, complaint: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint)), SETTLE_MS);
  });
  return Promise.race([pending, late]).finally(() => clearTimeout(timer));
}
