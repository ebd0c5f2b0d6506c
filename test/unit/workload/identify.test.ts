import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { createSpiffeId, type SpiffeId } from '../../../src/core/spiffe-id.ts';
import type { Connection } from '../../../src/listener/connection.ts';
import { createAccountNames } from '../../../src/workload/accounts.ts';
import { type Attestation, createAttestation } from '../../../src/workload/attestation.ts';
import type { VerifiedToken } from '../../../src/workload/attestor.ts';
import { createWorkloadStage } from '../../../src/workload/identify.ts';
import { InstanceRegistry } from '../../../src/workload/instances.ts';
import { NO_ATTESTATION, type SelectorOptions, type WorkloadIdentityOptions } from '../../../src/workload/options.ts';
import { rememberPlaceholders } from '../../../src/workload/placeholders.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { Callers, tunnelOf } from './callers.ts';

const SILENT = { info: () => {}, warn: () => {} };
const uid = String(process.getuid?.() ?? 0);
const refusal = { code: 'identity_required' };

/** A process of this user, Node, is connected all the time. */
let callers: Callers;
let connection: Connection;
beforeAll(async () => {
  callers = await Callers.open();
  ({ connection } = await callers.node());
});
afterAll(() => callers.close());

const identity = (workload: string, ...selectors: SelectorOptions[]): WorkloadIdentityOptions => ({
  name: workload,
  workload,
  selectors,
});

function stage(
  identities: WorkloadIdentityOptions[],
  instances = new InstanceRegistry(new FakeClock()),
  more: Partial<Attestation> = {},
  clock = new FakeClock(),
) {
  const placeholdersOf = rememberPlaceholders(Buffer.alloc(32));
  return createWorkloadStage({
    trustDomain: 'test.example',
    placeholders: (spiffeId, _name, instance) => placeholdersOf(spiffeId, instance),
    instances,
    attestation: { ...createAttestation(NO_ATTESTATION, { clock: new FakeClock(), log: SILENT }), ...more },
    identities: () => identities,
    clock,
  });
}

describe('identify', () => {
  it('names the workload whose every selector matches, by any of its values', async () => {
    const workload = await stage([
      identity(
        'ai-agent',
        { key: 'unix:uid', values: ['999999', uid] },
        { key: 'process:exe', values: [process.execPath] },
      ),
    ]).identify(tunnelOf(connection));
    expect(workload).toMatchObject({
      name: 'ai-agent',
      instance: null,
      spiffeId: { uri: 'spiffe://test.example/ai-agent' },
    });
    expect(workload.evidence).toEqual([`unix:uid=${uid}`, `process:exe=${process.execPath}`]);
  });

  it.each<[string, SelectorOptions[]]>([
    ['another uid', [{ key: 'unix:uid', values: ['999999'] }]],
    [
      'one selector of two that fails',
      [
        { key: 'unix:uid', values: [uid] },
        { key: 'process:name', values: ['no-such-program'] },
      ],
    ],
    ['an identity without selectors', []],
  ])('does not take %s', async (_name, selectors) => {
    await expect(stage([identity('ai-agent', ...selectors)]).identify(tunnelOf(connection))).rejects.toMatchObject(
      refusal,
    );
  });

  it('refuses where two workloads match, and says to the audit which', async () => {
    const both = [
      identity('b', { key: 'unix:uid', values: [uid] }),
      identity('a', { key: 'net:source', values: ['127.0.0.0/8'] }),
      identity('a', { key: 'process:exe', values: [process.execPath] }),
    ];
    await expect(stage(both).identify(tunnelOf(connection))).rejects.toMatchObject({
      ...refusal,
      detail: '2 identities match: a, b',
    });
    await expect(stage([]).identify(tunnelOf(connection))).rejects.toMatchObject({
      ...refusal,
      detail: 'no WorkloadIdentity matches',
    });
  });

  it.each([
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.0/24', true],
    ['10.1.2.3', '10.1.2.3/32', true],
    ['10.1.2.3', '0.0.0.0/0', true],
    ['10.1.2.3', '10.1.3.0/24', false],
    ['10.1.2.3', '::/0', false],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['::ffff:a01:203', '10.1.2.3', true],
    ['2001:db8::1', '2001:db8::/33', true],
    ['2001:db8:8000::1', '2001:db8::/33', false],
    ['not an address', '0.0.0.0/0', false],
  ])('from %s is in %s: %s', async (address, network, isIn) => {
    const there = { ...connection, remote: { address, port: 1 } };
    const asked = stage([identity('w', { key: 'net:source', values: [network] })]).identify(tunnelOf(there));
    await (isIn ? expect(asked).resolves.toMatchObject({ name: 'w' }) : expect(asked).rejects.toMatchObject(refusal));
  });

  it('asks each attestor once for a key, and for none that no selector needs', async () => {
    const asked: string[] = [];
    const attestors = ['one', 'two'].map((name) => ({
      answersFor: (key: string) => key.startsWith(`k8s:${name}`),
      values: async (key: string) => {
        asked.push(key);
        return ['yes', name];
      },
    }));
    const workloads = stage(
      [
        identity('a', { key: 'k8s:one', values: ['yes'] }, { key: 'k8s:two', values: ['no'] }),
        identity('b', { key: 'k8s:one', values: ['no', 'one'] }),
        identity('c', { key: 'k8s:nobody', values: ['yes'] }),
      ],
      undefined,
      { attestors },
    );
    const workload = await workloads.identify(tunnelOf(connection));
    expect(workload).toMatchObject({ name: 'b', evidence: ['k8s:one=one'] });
    expect(asked).toEqual(['k8s:one', 'k8s:two']);
  });

  it('believes only what all sources say that say something', async () => {
    const { connection } = await callers.node();
    const saying = (...answers: readonly (readonly string[])[]): Partial<Attestation> => ({
      attestors: answers.map((values) => ({ answersFor: () => true, values: async () => values })),
    });
    const ask = (more: Partial<Attestation>) =>
      stage([identity('w', { key: 'k8s:ns', values: ['team-a'] })], undefined, more).identify(tunnelOf(connection));
    for (const more of [saying(['team-a'], []), saying([], ['team-a']), saying(['x', 'team-a'], ['team-a', 'y'])])
      expect(await ask(more)).toMatchObject({ name: 'w' });
    for (const more of [saying(['team-a'], ['team-b']), saying(['team-b'], ['team-a']), saying([], []), saying()])
      await expect(ask(more)).rejects.toMatchObject(refusal);
  });

  it('takes an instance token, and lets a wrong one not fall back to weaker evidence', async () => {
    const instances = new InstanceRegistry(new FakeClock());
    const identities = [identity('ai-agent', { key: 'unix:uid', values: [uid] })];
    const { instance, token } = instances.create({ workload: 'ai-agent', ttlMs: 60_000 });
    const workloads = stage(identities, instances);
    const byToken = await workloads.identify(tunnelOf(connection, `Bearer ${token}`));
    expect(byToken).toMatchObject({ name: 'ai-agent', instance: instance.id });
    await expect(workloads.identify(tunnelOf(connection, 'Bearer wrong'))).rejects.toMatchObject(refusal);
    instances.end(instance.id);
    expect(workloads.isCurrent(byToken)).toBe(false);
    await expect(workloads.identify(tunnelOf(connection, `Bearer ${token}`))).rejects.toMatchObject(refusal);
  });

  it('takes a token that is bound to a user from connections of that user alone', async () => {
    const instances = new InstanceRegistry(new FakeClock());
    const workloads = stage([identity('ai-agent')], instances);
    const mine = instances.create({ workload: 'ai-agent', ttlMs: 60_000, uid: Number(uid) });
    expect(await workloads.identify(tunnelOf(connection, `Bearer ${mine.token}`))).toMatchObject({
      instance: mine.instance.id,
      evidence: ['token:instance', `unix:uid=${uid}`],
    });
    const other = instances.create({ workload: 'ai-agent', ttlMs: 60_000, uid: Number(uid) + 1 });
    await expect(workloads.identify(tunnelOf(connection, `Bearer ${other.token}`))).rejects.toMatchObject({
      ...refusal,
      detail: 'the token is bound to another user',
    });
    const elsewhere = { ...connection, remote: { address: '192.0.2.1', port: 1 } };
    await expect(workloads.identify(tunnelOf(elsewhere, `Bearer ${mine.token}`))).rejects.toMatchObject({
      ...refusal,
      detail: 'the token is bound to another user; the kernel of this host names no owner of the connection',
    });
  });

  it('does not take the token of a workload that the policy no longer names', async () => {
    const instances = new InstanceRegistry(new FakeClock());
    const { token } = instances.create({ workload: 'gone', ttlMs: 60_000 });
    await expect(
      stage([identity('ai-agent')], instances).identify(tunnelOf(connection, `Bearer ${token}`)),
    ).rejects.toMatchObject(refusal);
  });
});

describe('a verified token', () => {
  const proof: VerifiedToken = {
    kind: 'jwt',
    issuer: 'https://issuer.test',
    subject: 'someone',
    claims: {},
    spiffeId: null,
    expiresAt: 5_000_000_000_000,
  };
  const verifying = (answer: VerifiedToken | Error): Partial<Attestation> => ({
    attestors: [
      ...createAttestation(NO_ATTESTATION, { clock: new FakeClock(), log: SILENT }).attestors,
      {
        answersFor: (key) => key === 'token:sub',
        values: async (_key, { token }) => (token === null ? [] : [token.subject]),
      },
      {
        answersFor: (key) => key === 'spiffe:id',
        values: async (_key, { svid }) => (svid === null ? [] : [svid.uri]),
      },
    ],
    tokenVerifiers: [
      {
        accepts: (token) => token.split('.').length === 3,
        verify: async () => {
          if (answer instanceof Error) throw answer;
          return answer;
        },
      },
    ],
  });
  const byBoth = [
    identity('w', { key: 'token:sub', values: ['someone'] }, { key: 'unix:uid', values: [uid] }),
    identity('x', { key: 'token:sub', values: ['other'] }),
  ];

  it('stands beside all other evidence, and is over at its end', async () => {
    const clock = new FakeClock();
    const expiresAt = clock.now() + 60_000;
    const workloads = stage(byBoth, undefined, verifying({ ...proof, expiresAt }), clock);
    const workload = await workloads.identify(tunnelOf(connection, 'Bearer a.b.c'));
    expect(workload).toMatchObject({ name: 'w', instance: null, evidence: ['token:sub=someone', `unix:uid=${uid}`] });
    expect(workloads.isCurrent(workload)).toBe(true);
    await clock.advance(60_000);
    expect(workloads.isCurrent(workload)).toBe(false);
  });

  it('goes with the workload, for sources that pass it on, and is never shown', async () => {
    const workloads = stage(byBoth, undefined, verifying(proof));
    const workload = await workloads.identify(tunnelOf(connection, 'Bearer a.b.c'));
    expect(workload.presented?.reveal().toString()).toBe('a.b.c');
    expect(inspect(workload, { depth: 9, showHidden: true })).not.toContain('a.b.c');
    expect((await workloads.describe('w', null)).presented).toBeUndefined();
  });

  it('is held once, however many connections show it, and zeroed at its end', async () => {
    const clock = new FakeClock();
    const workloads = stage(byBoth, undefined, verifying({ ...proof, expiresAt: clock.now() + 60_000 }), clock);
    const [one, other] = [
      await workloads.identify(tunnelOf(connection, 'Bearer a.b.c')),
      await workloads.identify(tunnelOf(connection, 'Bearer a.b.c')),
    ];
    expect(one.presented).toBe(other.presented);
    const bytes = one.presented?.reveal();
    await clock.advance(59_999);
    expect(one.presented?.isDestroyed).toBe(false);
    await clock.advance(1);
    expect(one.presented?.isDestroyed).toBe(true);
    expect(bytes?.every((byte) => byte === 0)).toBe(true);
    const again = await workloads.identify(tunnelOf(connection, 'Bearer a.b.c'));
    expect(again.presented).not.toBe(one.presented);
  });

  it('is asked about again before each request where it can be revoked, and only on its own tunnel', async () => {
    let holds: boolean | Promise<boolean> = true;
    const workloads = stage(byBoth, undefined, verifying({ ...proof, stillHolds: () => holds }));
    const workload = await workloads.identify(tunnelOf(connection, 'Bearer a.b.c'));
    expect(workloads.isCurrent(workload)).toBe(true);
    holds = Promise.resolve(false);
    expect(await workloads.isCurrent(workload)).toBe(false);
    expect(workloads.isCurrent(await workloads.describe('w', null))).toBe(true);
  });

  it('is over at the end of the certificate where that comes first', async () => {
    const { connection: plain } = await callers.node();
    const connection = { ...plain, svidEndsAt: 5_000 };
    const workload = await stage(byBoth, undefined, verifying(proof)).identify(tunnelOf(connection, 'Bearer a.b.c'));
    expect(workload.provenUntil).toBe(5_000);
  });

  it.each<[string, string, Error]>([
    ['a wrong one', 'a.b.c', new EgressError('identity_required', { detail: 'signature' })],
    ['one whose keys cannot be had', 'a.b.c', new Error('connect ECONNREFUSED')],
    ['one that nobody verifies', 'opaque', new Error('not asked')],
  ])('ends it where it is %s, whatever else would match', async (_name, token, answer) => {
    const identities = [identity('w', { key: 'unix:uid', values: [uid] })];
    await expect(
      stage(identities, undefined, verifying(answer)).identify(tunnelOf(connection, `Bearer ${token}`)),
    ).rejects.toMatchObject(refusal);
  });

  it('may name a SPIFFE ID, but not another than the certificate of the connection', async () => {
    const [one, other] = ['/one', '/other'].map((path) => createSpiffeId('elsewhere.test', path));
    if (one === undefined || other === undefined) throw new Error('unreachable');
    const identities = [identity('w', { key: 'spiffe:id', values: [one.uri] })];
    const ask = (svid: SpiffeId | undefined, spiffeId: SpiffeId | null) =>
      stage(identities, undefined, verifying({ ...proof, spiffeId })).identify(
        tunnelOf(svid === undefined ? connection : { ...connection, svid }, 'Bearer a.b.c'),
      );
    expect(await ask(undefined, one)).toMatchObject({ name: 'w' });
    expect(await ask(one, null)).toMatchObject({ name: 'w' });
    expect(await ask(one, one)).toMatchObject({ name: 'w' });
    await expect(ask(other, one)).rejects.toMatchObject(refusal);
    await expect(ask(undefined, null)).rejects.toMatchObject(refusal);
  });
});

describe('account names', () => {
  it('come from the files of the system, and unknown ids have none', () => {
    const accounts = createAccountNames();
    expect(accounts.userName(0)).toBe('root');
    expect(accounts.groupName(0)).toBe('root');
    expect(accounts.userName(4_294_967)).toBeNull();
  });
});

describe('placeholders', () => {
  it('are one object for all connections of an instance, and another for another instance', async () => {
    const workloads = stage([identity('ai-agent')]);
    const described = await Promise.all(
      ['i-1', 'i-1', 'i-2'].map((id) => workloads.describe('ai-agent', { id, workload: 'ai-agent' })),
    );
    const [first, again, other] = described.map(({ placeholders }) => placeholders);
    expect(again).toBe(first);
    expect(other?.apiKey).not.toBe(first?.apiKey);
  });
});
