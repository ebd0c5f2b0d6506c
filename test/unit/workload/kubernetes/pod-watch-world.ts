/** Duty: a watch on a fake API server, anew for each test, with what it logs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { createApiServer } from '../../../../src/workload/kubernetes/api-server.ts';
import { openPodWatch, type PodWatch } from '../../../../src/workload/kubernetes/pod-watch.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeKubernetesApi } from '../../../fakes/fake-kubernetes-api.ts';
import { containerId } from './pods.ts';

export let folder: string;
export let api: FakeKubernetesApi;
export let clock: FakeClock;
export let watch: PodWatch | null;
export let logged: { message: string; cause: unknown; hint: unknown }[];

/** To be called once by each test file. */
export function opensAnewForEachTest(): void {
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-cluster-'));
    api = new FakeKubernetesApi();
    await api.start();
    writeFileSync(join(folder, 'ca.crt'), api.caPem);
    writeFileSync(join(folder, 'token'), `${api.token}\n`);
    clock = new FakeClock();
    watch = null;
    logged = [];
  });

  afterEach(async () => {
    watch?.close();
    await api.stop();
    rmSync(folder, { recursive: true });
  });
}

export function open(choice: { nodeName?: string; namespace?: string } = {}): PodWatch {
  const server = createApiServer(
    { apiServer: api.origin, caFile: join(folder, 'ca.crt'), tokenFile: join(folder, 'token') },
    clock,
  );
  const note = (message: string, { cause, hint }: Readonly<Record<string, unknown>>): void => {
    logged.push({ message, cause, hint });
  };
  watch = openPodWatch(
    { nodeName: choice.nodeName ?? null, namespace: choice.namespace ?? null },
    { server, clock, random: () => 1, log: { info: note, warn: note } },
  );
  return watch;
}

/** Name of the pod of the n-th container; null where none is known by the time that the clock has moved on. */
export async function podNamed(n: number): Promise<string | null> {
  const asked = watch?.find((table) => table.byContainer(containerId(n))?.name ?? null) ?? Promise.resolve(null);
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(2_000);
  return asked;
}

export const isWatching = (): Promise<void> => vi.waitFor(() => expect(api.watches).toBe(1));
export const causes = (): unknown[] => logged.map(({ cause }) => cause);
export const knows = (n: number): Promise<void> =>
  vi.waitFor(async () => {
    expect(await watch?.find((table) => table.byContainer(containerId(n))?.name ?? 'none')).toBe(`agent-${n}`);
  });
