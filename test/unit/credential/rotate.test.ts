import { describe, expect, it } from 'vitest';
import type { Credential, CredentialStage } from '../../../src/credential/credential.ts';
import { createStageOver } from '../../../src/credential/stage.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { away, FakeSource, permit, refused, workload } from './permits.ts';

const signal = new AbortController().signal;

function world() {
  const clock = new FakeClock();
  const sources = new Map(['vault', 'other'].map((name) => [name, new FakeSource(clock, name)]));
  const find = (name: string): FakeSource => sources.get(name) ?? expect.fail(`no source ${name}`);
  const stage = createStageOver({ find, close: async () => {} }, { clock, random: () => 0.5 });
  return { clock, stage, vault: find('vault'), other: find('other') };
}

const obtain = async (stage: CredentialStage, ...what: Parameters<typeof permit>): Promise<Credential> =>
  (await stage.obtain(permit(...what), signal)) ?? expect.fail('no credential');

describe('the rotation of a source', () => {
  it('replaces all of its leases and none of another source', async () => {
    const { stage, vault, other } = world();
    const held = await obtain(stage);
    stage.release(await obtain(stage, workload('second')));
    stage.release(await obtain(stage, workload(), 'third', 'other'));
    expect(await stage.rotate('vault')).toEqual({ replaced: 2, failed: 0 });
    expect(vault.grants.map(({ revocations }) => revocations)).toEqual([0, 1, 0, 0]);
    expect(other.grants).toHaveLength(1);
    expect((await obtain(stage)).generation).toBe(2);
    expect(held.parts.get('key')?.isDestroyed).toBe(false);
    stage.release(held);
    expect(held.parts.get('key')?.isDestroyed).toBe(true);
  });

  it('leaves the old one in place where the source is away, and ends it where the source refuses', async () => {
    const { stage, vault, clock } = world();
    stage.release(await obtain(stage));
    vault.failure = away();
    expect(await stage.rotate('vault')).toEqual({ replaced: 0, failed: 1 });
    expect((await obtain(stage)).generation).toBe(1);
    vault.failure = refused();
    expect(await stage.rotate('vault')).toEqual({ replaced: 0, failed: 1 });
    await expect(obtain(stage)).rejects.toThrow(/credential_denied/);
    vault.failure = null;
    // Whoever put it right need not wait until the refusal is forgotten.
    expect(await stage.rotate('vault')).toEqual({ replaced: 0, failed: 0 });
    expect((await obtain(stage)).generation).toBe(2);
    expect(clock.pending).toBeGreaterThan(0);
  });

  it('is new although one was on its way, which may have been read before', async () => {
    const { stage, vault } = world();
    let answer = (): void => {};
    vault.wait = () => new Promise<void>((resolve) => (answer = resolve));
    const first = obtain(stage);
    const rotated = stage.rotate('vault');
    while (vault.fetches.length < 1) await new Promise((resolve) => setImmediate(resolve));
    vault.wait = async () => {};
    answer();
    await first;
    expect(await rotated).toEqual({ replaced: 1, failed: 0 });
    expect(vault.grants).toHaveLength(2);
    expect((await obtain(stage)).generation).toBe(2);
  });

  it('replaces nothing where nothing is leased, or at the end', async () => {
    const { stage, vault } = world();
    expect(await stage.rotate('vault')).toEqual({ replaced: 0, failed: 0 });
    await obtain(stage);
    await stage.close(1000);
    expect(await stage.rotate('vault')).toEqual({ replaced: 0, failed: 0 });
    expect(vault.fetches).toHaveLength(1);
  });
});
