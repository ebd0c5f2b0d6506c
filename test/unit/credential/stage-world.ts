/**
 * Duty: the lease engine over a fake source and a fake clock, made anew for each test.
 * Holds: `clock`, `source`, `sources`, `stage` and `events` are those of the test that runs.
 */
import { inspect } from 'node:util';
import { beforeEach, expect } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import type { Credential, CredentialStage } from '../../../src/credential/credential.ts';
import { createStageOver, type LeaseEvent } from '../../../src/credential/stage.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { CANARY, FakeSource, permit } from './permits.ts';

export const MINUTE = 60_000;
export let clock: FakeClock;
export let source: FakeSource;
export let stage: CredentialStage;
export let events: LeaseEvent[];
export let sources: Map<string, FakeSource>;

/** To be called once by each test file. */
export function opensAnewForEachTest(): void {
  beforeEach(() => {
    clock = new FakeClock();
    source = new FakeSource(clock);
    sources = new Map([['vault', source]]);
    openStage();
  });
}

/** In place of the one that is there. */
export function openStage(maxLeasesPerWorkload = 64, maxLeasesPerSource = 1_000): void {
  events = [];
  const find = (name: string): FakeSource => {
    const found = sources.get(name);
    if (found === undefined) throw new EgressError('credential_invalid', { detail: 'unknown source' });
    return found;
  };
  stage = createStageOver(
    { find, close: () => Promise.resolve() },
    { clock, random: () => 0.5, maxLeasesPerWorkload, maxLeasesPerSource, observe: (event) => events.push(event) },
  );
}

export const never = new AbortController().signal;
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function obtain(from = permit()): Promise<Credential> {
  const credential = await stage.obtain(from, never);
  if (credential === null) throw new Error('no credential');
  return credential;
}

export async function failure(promise: Promise<unknown>): Promise<EgressError> {
  const error = await promise.then(
    () => expect.fail('did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9 })).not.toContain(CANARY);
  return error as EgressError;
}
