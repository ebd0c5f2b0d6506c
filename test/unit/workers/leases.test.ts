import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { CredentialStage } from '../../../src/credential/credential.ts';
import { createStageOver } from '../../../src/credential/stage.ts';
import type { Permit } from '../../../src/policy/permit.ts';
import { Channel, type Desk } from '../../../src/workers/channel.ts';
import { OwnerDesk, type OwnerStages } from '../../../src/workers/owner-desk.ts';
import { RemoteCredentials } from '../../../src/workers/remote-credentials.ts';
import { TOPIC } from '../../../src/workers/topics.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { CANARY, FakeGrant, permit, workload } from '../credential/permits.ts';

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

function pipe(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const make = (other: number): Duplex =>
    new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        ends[other]?.push(Buffer.from(chunk));
        done();
      },
      final: (done) => {
        ends[other]?.push(null);
        done();
      },
    });
  ends.push(make(1), make(0));
  return [ends[0] as Duplex, ends[1] as Duplex];
}

/** An owner with the real credential stage over fake grants, and workers with the real remote one. */
function world(overrides: Partial<OwnerStages> = {}) {
  const clock = new FakeClock();
  const grants: FakeGrant[] = [];
  const source = {
    name: 'vault',
    fetch: async () => {
      const grant = new FakeGrant(grants.length + 1, clock.monotonicMs() + 3_600_000);
      grants.push(grant);
      return grant;
    },
  };
  const owners: { desk: OwnerDesk; channel: Channel }[] = [];
  const credential: CredentialStage = createStageOver(
    { find: () => source, close: async () => {} },
    {
      clock,
      random: () => 0.5,
      onRetired: (key) => {
        for (const { desk, channel } of owners) desk.leaseRetired(key, channel);
      },
    },
  );
  const lines: string[] = [];
  const asked = permit();
  const stages: OwnerStages = {
    instance: async () => null,
    placeholders: async () => asked.facts.workload.placeholders,
    leaf: () => ({ certificatePem: '', endsAt: 0 }),
    permit: async () => asked,
    admit: () => () => {},
    credential,
    sink: {
      write: async (line) => void lines.push(line as string),
      writeLater: (line) => void lines.push(line as string),
    },
    ...overrides,
  };
  const addWorker = (number: number) => {
    const [ownerEnd, workerEnd] = pipe();
    const desk = new OwnerDesk(stages, `w${number}c`, { leaving: () => {}, closed: () => {} });
    const owner = { desk, channel: new Channel(ownerEnd, desk) };
    owners.push(owner);
    const ear: Desk = {
      answer: () => '',
      hear: (topic, body) => {
        if (topic === TOPIC.leaseRetired) credentials.retired(body.toString('utf8'));
      },
      closed: () => {},
    };
    const channel = new Channel(workerEnd, ear);
    const credentials = new RemoteCredentials(channel, clock);
    const obtain = async (of: Permit = asked) => {
      const obtained = await credentials.obtain(of, never);
      if (obtained === null) throw new Error('no credential');
      return obtained;
    };
    return { channel, credentials, obtain, owner };
  };
  return { clock, grants, credential, addWorker, lines };
}

describe('a lease that workers share', () => {
  it('is obtained once, and each worker is one user of it', async () => {
    const { grants, credential, addWorker } = world();
    const [one, two] = [addWorker(1), addWorker(2)];
    const given = await Promise.all([one.obtain(), one.obtain(), two.obtain(), one.obtain(), two.obtain()]);
    expect(grants).toHaveLength(1);
    expect(new Set(given.map(({ key }) => key)).size).toBe(1);
    expect(given[0]?.parts.get('key')?.reveal().toString()).toBe(CANARY);
    expect(given[0]?.parts.get('key')).toBe(given[1]?.parts.get('key'));
    expect(given[0]?.parts.get('key')).not.toBe(given[2]?.parts.get('key'));
    expect(credential.list()).toMatchObject([{ inUse: 2, generation: 1 }]);
  });

  it('is asked for again after a second, and its bytes travel once', async () => {
    const { clock, credential, addWorker } = world();
    const one = addWorker(1);
    const first = await one.obtain();
    await clock.advance(1_001);
    const second = await one.obtain();
    expect(second.parts).toBe(first.parts);
    expect(credential.list()).toMatchObject([{ inUse: 1 }]);
  });

  it('is zeroed and given back when it is retired and its last exchange is over', async () => {
    const { grants, credential, addWorker } = world();
    const one = addWorker(1);
    const [a, b] = [await one.obtain(), await one.obtain()];
    const secret = a.parts.get('key');
    const revoked = credential.close(1_000);
    await turn();
    // Revoked at the source, and still readable for the exchanges that have it.
    expect(secret?.isDestroyed).toBe(false);
    one.credentials.release(a);
    await turn();
    expect(secret?.isDestroyed).toBe(false);
    one.credentials.release(b);
    await turn();
    expect(secret?.isDestroyed).toBe(true);
    expect(grants[0]?.key.isDestroyed).toBe(true);
    expect(await revoked).toEqual({ revoked: 1, failed: 0 });
  });

  it('goes to no new exchange from the owner’s word on', async () => {
    const who = workload('agent', 'i-1');
    const of = permit(who);
    const { grants, credential, addWorker } = world({ permit: async () => of });
    const one = addWorker(1);
    await one.obtain(of);
    await credential.revokeInstance('i-1');
    await turn();
    await expect(one.obtain(of)).rejects.toMatchObject({ code: 'credential_denied' });
    expect(grants).toHaveLength(1);
    expect(grants[0]?.revocations).toBe(1);
  });

  it('is given up where a worker says that it has expired, for all of them', async () => {
    const { clock, grants, addWorker } = world();
    const [one, two] = [addWorker(1), addWorker(2)];
    const [a, b] = [await one.obtain(), await two.obtain()];
    expect(await one.credentials.invalidate(a)).toBe(false);
    await clock.advance(10_000);
    expect(await one.credentials.invalidate(a)).toBe(true);
    // Said by another of the same lease: it is replaced already.
    expect(await two.credentials.invalidate(b)).toBe(true);
    const next = await Promise.all([one.obtain(), two.obtain()]);
    expect(next.map(({ generation }) => generation)).toEqual([2, 2]);
    expect(grants).toHaveLength(2);
    one.credentials.release(a);
    two.credentials.release(b);
    await turn();
    expect(grants[0]?.revocations).toBe(1);
  });

  it('is not lent where it was retired while the answer was on its way', async () => {
    let credential: CredentialStage | null = null;
    const of = permit(workload('agent', 'i-2'));
    const {
      addWorker,
      credential: real,
      grants,
    } = world({
      permit: async () => of,
      credential: {
        obtain: async (asked, signal) => {
          const obtained = await (credential as unknown as CredentialStage).obtain(asked, signal);
          await (credential as unknown as CredentialStage).revokeInstance('i-2');
          return obtained;
        },
        invalidate: () => false,
        release: (given) => credential?.release(given),
      },
    });
    credential = real;
    await expect(addWorker(1).obtain(of)).rejects.toMatchObject({ code: 'credential_unavailable' });
    await turn();
    expect(grants[0]?.key.isDestroyed).toBe(true);
    expect(real.list()).toEqual([]);
  });

  it('is released by the death of the worker, and by nothing that it says twice', async () => {
    const { credential, addWorker } = world();
    const [one, two] = [addWorker(1), addWorker(2)];
    const { key } = await one.obtain();
    await two.obtain();
    one.channel.tell(TOPIC.giveBack, key);
    one.channel.tell(TOPIC.giveBack, key);
    await turn();
    expect(credential.list()).toMatchObject([{ inUse: 1 }]);
    two.channel.close();
    await turn();
    expect(credential.list()).toMatchObject([{ inUse: 0 }]);
  });
});

describe('the desk of the owner', () => {
  const intent = 'iw1c1-1 {"kind":"intent"}';

  it('acknowledges an intent when it is written', async () => {
    let write: () => void = () => {};
    const written = new Promise<void>((resolve) => {
      write = resolve;
    });
    const { addWorker } = world({ sink: { write: () => written, writeLater: () => {} } });
    let isAcknowledged = false;
    const asked = addWorker(1)
      .channel.ask(TOPIC.audit, intent, () => {})
      .then(() => {
        isAcknowledged = true;
      });
    await turn();
    expect(isAcknowledged).toBe(false);
    write();
    await asked;
    expect(isAcknowledged).toBe(true);
  });

  it('completes as aborted what a dead worker left, and only that', async () => {
    const { addWorker, lines } = world();
    const one = addWorker(1);
    const text = [intent, 'iw1c1-2 {"kind":"intent"}', 'cw1c1-1 {"kind":"completion"}', '- {"kind":"refusal"}'];
    await one.channel.ask(TOPIC.audit, text.join('\n'), () => {});
    one.channel.close();
    await turn();
    expect(lines.slice(0, 4).map((line) => (JSON.parse(line) as { kind: string }).kind)).toEqual([
      'intent',
      'intent',
      'completion',
      'refusal',
    ]);
    expect(lines.slice(4).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { kind: 'completion', exchange: 'w1c1-2', outcome: 'aborted', status: null },
    ]);
  });

  it.each([
    ['another worker’s exchange', TOPIC.audit, 'iw2c1-1 {"kind":"intent"}'],
    ['a line with a break in it', TOPIC.audit, 'iw1c1-1 {"kind":\n"intent"}'],
    ['what is no line', TOPIC.audit, 'hello'],
    ['a question of no worker', TOPIC.begin, ''],
  ])('refuses %s', async (_name, topic, body) => {
    const { addWorker, lines } = world();
    await expect(addWorker(1).channel.ask(topic, body, () => {})).rejects.toMatchObject({ code: 'internal' });
    expect(lines).toEqual([]);
  });

  it('gives a worker’s places back once, and all of them at its death', async () => {
    let active = 0;
    const { addWorker } = world({
      admit: () => {
        active++;
        return () => {
          active--;
        };
      },
    });
    const { channel } = addWorker(1);
    const places = await Promise.all(
      [1, 2, 3].map(() =>
        channel.ask(TOPIC.admit, '{}', (body) => (JSON.parse(body.toString('utf8')) as { place: number }).place),
      ),
    );
    expect(active).toBe(3);
    channel.tell(TOPIC.leave, String(places[0]));
    channel.tell(TOPIC.leave, String(places[0]));
    channel.tell(TOPIC.leave, '999');
    await turn();
    expect(active).toBe(2);
    channel.close();
    await turn();
    expect(active).toBe(0);
  });

  it('says that a decision is stale where the policy grants no such thing', async () => {
    const { addWorker } = world({ permit: async () => null });
    const { channel } = addWorker(1);
    expect(await channel.ask(TOPIC.admit, '{}', (body) => body.toString('utf8'))).toBe('{"isStale":true}');
    await expect(channel.ask(TOPIC.credential, '{}', () => {})).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
  });
});
