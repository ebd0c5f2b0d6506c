import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialStage } from '../../../src/credential/credential.ts';
import { createStageOver } from '../../../src/credential/stage.ts';
import { Deliveries, defaultFolder } from '../../../src/delivery/deliveries.ts';
import type { DeliveryOptions } from '../../../src/delivery/options.ts';
import { isInMemory, PrivateFiles } from '../../../src/delivery/private-file.ts';
import { userIdOf } from '../../../src/workload/accounts.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeSource, workload } from '../credential/permits.ts';

const ownUid = process.getuid?.() ?? 0;
let folder = '';
let source: FakeSource;
let stage: CredentialStage;
let deliveries: Deliveries;

const optionsOf = (more: Partial<DeliveryOptions> = {}): DeliveryOptions => ({
  ...{ binding: 'team/key', workload: 'agent', source: 'vault', services: [], way: 'file', path: null },
  ...{ format: 'raw', owner: { uid: ownUid } },
  ...more,
});

describe.skipIf(!isInMemory('/dev/shm'))('the deliveries of a revision (skipped where /dev/shm is no tmpfs)', () => {
  beforeEach(() => {
    folder = mkdtempSync('/dev/shm/countersign-test-');
    const clock = new FakeClock();
    source = new FakeSource(clock);
    stage = createStageOver({ find: () => source, close: () => Promise.resolve() }, { clock, random: () => 0.5 });
    deliveries = new Deliveries({
      ...{ clock, ownUid, folder, credential: stage, userIdOf },
      files: new PrivateFiles(ownUid, { read: () => [], write: () => {} }),
      describe: async (name) => workload(name),
      attestor: async () => null,
      announce: async () => {},
      observe: () => {},
      refused: () => {},
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const settled = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  };

  it.each([
    ['raw', 'team_key'],
    ['env', 'team_key.env'],
    ['json', 'team_key.json'],
  ] as const)('have a place of their own where the policy names none: %s', async (format, name) => {
    await deliveries.take([optionsOf({ format })]);
    await settled();
    expect(deliveries.list()).toMatchObject([{ binding: 'team/key', path: join(folder, name) }]);
    await deliveries.close();
  });

  it('go on where nothing of them changed, and begin anew on a new lease where something did', async () => {
    await deliveries.take([optionsOf()]);
    await settled();
    await deliveries.take([optionsOf()]);
    await settled();
    expect(source.fetches).toHaveLength(1);
    await deliveries.take([optionsOf({ path: join(folder, 'other') })]);
    await settled();
    expect(source.fetches).toHaveLength(2);
    expect(source.grants.map(({ revocations }) => revocations)).toEqual([1, 0]);
    expect(deliveries.list()).toMatchObject([{ path: join(folder, 'other'), error: null }]);
    await deliveries.take([]);
    expect([deliveries.list(), source.grants[1]?.revocations]).toEqual([[], 1]);
  });

  it('are refused for a user that is not there, by the name of the binding', async () => {
    await expect(deliveries.check([optionsOf({ owner: { user: 'no-such-user' } })])).rejects.toThrow(
      /team\/key: \/etc\/passwd has no user no-such-user, whose file it would be; write unix:uid/,
    );
    if (ownUid === 0) await deliveries.check([optionsOf({ owner: { user: 'root' } })]);
  });

  it('are refused at a socket where the kernel cannot be asked for its readers', async () => {
    await expect(deliveries.check([optionsOf({ way: 'socket', owner: null })])).rejects.toThrow(
      /team\/key: propagation.socket asks the kernel .* needs Linux and Node 26.1 or newer \(node:ffi\); use file/,
    );
  });

  it('of the proxies of one user are apart by their names', () => {
    expect(defaultFolder(1001, 'node-1')).toBe('/dev/shm/countersign-1001/node-1');
    expect(defaultFolder(0, 'node-1')).toMatch(/^\/(?:run\/countersign|dev\/shm\/countersign-0)\/node-1$/);
  });
});
