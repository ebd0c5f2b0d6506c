import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import type { Credential, CredentialStage, DeliveryOrder } from '../../../src/credential/credential.ts';
import { createStageOver } from '../../../src/credential/stage.ts';
import { Delivery, type DeliveryEvent } from '../../../src/delivery/delivery.ts';
import type { DeliveryOptions } from '../../../src/delivery/options.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { away, CANARY, FakeSource, permit, refused, workload } from '../credential/permits.ts';

const MINUTE = 60_000;
const OPTIONS: DeliveryOptions = {
  binding: 'b',
  workload: 'agent',
  source: 'vault',
  services: [],
  way: 'file',
  path: null,
  format: 'raw',
  owner: { uid: 1001 },
};
const ORDER: DeliveryOrder = { workload: workload(), binding: 'b', source: 'vault', form: 'parts', way: 'file' };
let clock: FakeClock;
let source: FakeSource;
let stage: CredentialStage;
let delivery: Delivery;
/** What is there now; null: no file. */
let file: string | null;
let events: DeliveryEvent[];
let contents: Buffer[];
let writes: () => void;
let announced: (credential: Credential) => Promise<void>;
let log: string[];

beforeEach(() => {
  clock = new FakeClock();
  source = new FakeSource(clock);
  stage = createStageOver({ find: () => source, close: () => Promise.resolve() }, { clock, random: () => 0.5 });
  file = null;
  events = [];
  contents = [];
  log = [];
  writes = () => {};
  announced = async () => {};
  delivery = new Delivery({
    options: OPTIONS,
    path: '/dev/shm/b',
    clock,
    obtain: (signal) => stage.deliver(ORDER, signal),
    release: (credential) => stage.release(credential),
    announce: (credential) => {
      log.push('announced');
      return announced(credential);
    },
    write: (content) => {
      writes();
      file = content.toString();
      contents.push(content);
      log.push('written');
    },
    remove: () => {
      file = null;
      log.push('removed');
    },
    observe: (event) => events.push(event),
  });
});

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};
async function begin(): Promise<void> {
  delivery.begin();
  await turns();
}
async function advance(ms: number): Promise<void> {
  await clock.advance(ms);
  await turns();
}
const kinds = (): string[] => events.map(({ kind }) => kind);

describe('a delivery', () => {
  it('is announced, then written; nothing secret is told, and its bytes are zeroed', async () => {
    await begin();
    expect(file).toBe(CANARY);
    expect(log).toEqual(['announced', 'written']);
    expect(delivery.standing).toMatchObject({ path: '/dev/shm/b', generation: 1, error: null, changedAt: clock.now() });
    expect(inspect([events, delivery.standing, stage.list(), stage.standings()], { depth: 9 })).not.toContain(CANARY);
    expect(contents.every((content) => content.every((byte) => byte === 0))).toBe(true);
    expect(stage.list()).toMatchObject([{ binding: 'b#file', inUse: 1 }]);
  });

  it('has a lease of its own: requests of the same binding use another', async () => {
    await begin();
    await stage.obtain(permit(workload(), 'b'), new AbortController().signal);
    expect(source.fetches).toHaveLength(2);
    expect(stage.list().map(({ binding }) => binding)).toEqual(['b#file', 'b']);
  });

  it('is replaced before its lease ends, all day long, and each former lease is given back after that', async () => {
    await begin();
    let missing = 0;
    for (let minute = 0; minute < 24 * 60; minute += 5) {
      await advance(5 * MINUTE);
      if (file === null) missing++;
    }
    expect(missing).toBe(0);
    expect(source.grants.length).toBeGreaterThan(30);
    expect(source.grants.slice(0, -1).every(({ revocations }) => revocations === 1)).toBe(true);
    expect(stage.list()).toMatchObject([{ inUse: 1 }]);
    expect(new Set(kinds())).toEqual(new Set(['written']));
    expect(clock.pending).toBeLessThan(6);
  });

  it('stays as it is where its lease is renewed', async () => {
    source.onGrant = (grant) => {
      grant.renewable = true;
      grant.renew = async () => clock.monotonicMs() + 60 * MINUTE;
    };
    await begin();
    await advance(10 * 60 * MINUTE);
    expect(kinds()).toEqual(['written']);
    expect(source.grants).toHaveLength(1);
    expect(delivery.standing.lease?.expiresAt).toBeGreaterThan(clock.now());
  });

  it('stays while the source is away, and is gone when the lease is over', async () => {
    await begin();
    source.failure = away();
    await advance(59 * MINUTE);
    expect(file).toBe(CANARY);
    expect(delivery.standing).toMatchObject({ error: { detail: 'sealed' } });
    await advance(2 * MINUTE);
    expect(file).toBeNull();
    expect(delivery.standing).toMatchObject({ lease: null, generation: null, error: { code: 'credential_expired' } });
    expect(stage.list()).toEqual([]);
    source.failure = null;
    await advance(2 * MINUTE);
    expect(file).toBe(CANARY);
    expect(delivery.standing.error).toBeNull();
    expect(kinds()).toEqual(['written', 'failed', 'removed', 'written']);
  });

  it('is gone at once where the source refuses the workload', async () => {
    await begin();
    source.failure = refused();
    await advance(45 * MINUTE);
    expect(file).toBeNull();
    expect(delivery.standing.error?.code).toBe('credential_denied');
    expect(source.grants[0]?.revocations).toBe(1);
  });

  it('is not moved by a wall clock that jumps', async () => {
    await begin();
    source.failure = away();
    clock.jump(-5 * 60 * MINUTE);
    await advance(61 * MINUTE);
    expect(file).toBeNull();
  });

  it('comes when the source does', async () => {
    source.failure = away();
    await begin();
    expect(delivery.standing).toMatchObject({ lease: null, error: { code: 'credential_unavailable' } });
    await advance(10 * MINUTE);
    expect(kinds()).toEqual(['failed']);
    source.failure = null;
    await advance(2 * MINUTE);
    expect(file).toBe(CANARY);
  });

  it('asks again when the policy has changed', async () => {
    source.failure = refused();
    await begin();
    source.failure = null;
    // A source that was replaced by a reload starts with a slot of its own.
    await stage.endDelivery(ORDER);
    delivery.nudge();
    delivery.nudge();
    await turns();
    expect(file).toBe(CANARY);
    expect(source.fetches).toHaveLength(2);
    expect(clock.pending).toBeLessThan(5);
  });

  it('is not written where the audit does not have it', async () => {
    announced = () => Promise.reject(new EgressError('audit_unavailable'));
    await begin();
    expect(file).toBeNull();
    expect(delivery.standing.error?.code).toBe('audit_unavailable');
    expect(stage.list()).toMatchObject([{ inUse: 0 }]);
    announced = async () => {};
    await advance(2 * MINUTE);
    expect(file).toBe(CANARY);
  });

  it('tries again where the file cannot be written, and fetches no other lease for it', async () => {
    writes = () => {
      throw new EgressError('configuration_invalid', { detail: 'ENOSPC' });
    };
    await begin();
    expect(delivery.standing.error?.detail).toBe('ENOSPC');
    expect(contents).toEqual([]);
    writes = () => {};
    await advance(3 * MINUTE);
    expect(file).toBe(CANARY);
    expect(source.fetches).toHaveLength(1);
  });
});

describe('its end', () => {
  it('takes the file away and gives the lease back', async () => {
    await begin();
    await delivery.close();
    expect(file).toBeNull();
    expect(stage.list()).toMatchObject([{ inUse: 0 }]);
    await stage.endDelivery(ORDER);
    expect(source.grants[0]?.revocations).toBe(1);
    expect(clock.pending).toBe(0);
    await advance(60 * MINUTE);
    expect(file).toBeNull();
  });

  it.each<[string, (hold: Promise<void>) => void]>([
    ['the source answers', (hold) => (source.wait = () => hold)],
    ['the audit writes', (hold) => (announced = () => hold)],
  ])('while %s leaves neither file nor lease', async (_when, prepare) => {
    const held = Promise.withResolvers<void>();
    prepare(held.promise);
    await begin();
    const closed = delivery.close();
    held.resolve();
    await closed;
    await turns();
    expect(file).toBeNull();
    await stage.endDelivery(ORDER);
    await stage.close(1000);
    expect(stage.list()).toEqual([]);
    expect(source.grants.every(({ revocations }) => revocations === 1)).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('while its successor is on the way takes away what is there', async () => {
    await begin();
    const held = Promise.withResolvers<void>();
    announced = () => held.promise;
    await advance(50 * MINUTE);
    expect(source.grants.length).toBeGreaterThan(1);
    const closed = delivery.close();
    held.resolve();
    await closed;
    expect(file).toBeNull();
    await stage.close(1000);
    expect(source.grants.map(({ revocations }) => revocations)).toEqual(source.grants.map(() => 1));
  });
});
