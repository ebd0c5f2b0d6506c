import { describe, expect, it } from 'vitest';
import type { SelectorKey, WorkloadIdentityOptions } from '../../../src/workload/options.ts';
import { workloadOfPeer } from '../../../src/workload/peer-identity.ts';

const identity = (
  workload: string,
  selectors: Readonly<Record<string, readonly string[]>>,
): WorkloadIdentityOptions => ({
  name: `${workload}-${Object.keys(selectors).join()}`,
  workload,
  selectors: Object.entries(selectors).map(([key, values]) => ({ key: key as SelectorKey, values })),
});
const userName = (uid: number): string | null => (uid === 1001 ? 'agent' : null);
const of = (uid: number, ...identities: WorkloadIdentityOptions[]): string | null =>
  workloadOfPeer(uid, identities, userName);

describe('the workload of a peer', () => {
  it.each<[string, number, WorkloadIdentityOptions[], string | null]>([
    [
      'is that of its uid',
      1001,
      [identity('a', { 'unix:uid': ['1000', '1001'] }), identity('b', { 'unix:uid': ['7'] })],
      'a',
    ],
    ['is that of its name', 1001, [identity('a', { 'unix:user': ['agent'] })], 'a'],
    ['is none for another uid', 1002, [identity('a', { 'unix:uid': ['1001'] })], null],
    ['is none for a user without a name', 1002, [identity('a', { 'unix:user': ['', 'agent'] })], null],
    [
      'is none where uid and name differ',
      1001,
      [identity('a', { 'unix:uid': ['1001'], 'unix:user': ['other'] })],
      null,
    ],
    ['is none where more is asked for', 1001, [identity('a', { 'unix:uid': ['1001'], 'process:name': ['x'] })], null],
    ['is none for an identity of tokens alone', 1001, [identity('a', {})], null],
    [
      'is none where two match',
      1001,
      [identity('a', { 'unix:uid': ['1001'] }), identity('b', { 'unix:user': ['agent'] })],
      null,
    ],
    [
      'is none where another one could match',
      1001,
      [identity('a', { 'unix:uid': ['1001'] }), identity('b', { 'process:name': ['x'] })],
      null,
    ],
    [
      'is the one that several identities lead to',
      1001,
      [identity('a', { 'unix:uid': ['1001'] }), identity('a', { 'unix:uid': ['1001'], 'process:name': ['x'] })],
      'a',
    ],
    ['is none where a user namespace hides it', 65_534, [identity('a', { 'unix:uid': ['65534'] })], null],
  ])('%s', (_what, uid, identities, workload) => {
    expect(of(uid, ...identities)).toBe(workload);
  });
});
