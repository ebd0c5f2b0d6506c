import { describe, expect, it } from 'vitest';
import type { Subject, VerifiedToken } from '../../../../src/workload/attestor.ts';
import { createKubernetesAttestor } from '../../../../src/workload/attestors/kubernetes.ts';
import { parsePod } from '../../../../src/workload/kubernetes/pod.ts';
import { PodTable } from '../../../../src/workload/kubernetes/pod-table.ts';
import type { ProcessFacts } from '../../../../src/workload/local-process.ts';
import type { PodAddress, SelectorKey } from '../../../../src/workload/options.ts';
import { cgroupOf, containerId, type PodChoice, podOf, podUid } from '../kubernetes/pods.ts';

function tableOf(...pods: readonly (readonly [number, PodChoice?])[]): PodTable {
  const table = new PodTable(100);
  for (const [n, choice] of pods) {
    const pod = podOf(n, choice);
    table.put(parsePod({ ...pod, metadata: { ...pod.metadata, resourceVersion: '1' } }).pod);
  }
  return table;
}

interface Caller {
  readonly container?: number;
  readonly cgroup?: string | null;
  readonly address?: string;
  readonly isLocal?: boolean;
  readonly token?: Partial<VerifiedToken>;
}

function subjectOf({ container, cgroup, address, isLocal, token }: Caller): Subject {
  const facts =
    container === undefined
      ? null
      : { containerId: containerId(container), cgroup: cgroup === undefined ? cgroupOf(container) : cgroup };
  return {
    connection: { remote: { address: address ?? '127.0.0.1', port: 1 } },
    process: async () => facts as ProcessFacts | null,
    owner: async () => (facts !== null || isLocal === true ? { uid: 1, inode: '1' } : null),
    token: token === undefined ? null : { claims: {}, ...token },
    svid: null,
    doubt: () => {},
  } as unknown as Subject;
}

function asking(table: PodTable, podAddress: PodAddress = 'ignored') {
  let looks = 0;
  const attestor = createKubernetesAttestor(
    {
      find: async (look) => {
        looks += 1;
        return look(table);
      },
    },
    podAddress,
  );
  return {
    ask: (key: SelectorKey, caller: Caller) => attestor.values(key, subjectOf(caller)),
    attestor,
    looks: () => looks,
  };
}

describe('by its container', () => {
  it.each<[SelectorKey, string[]]>([
    ['k8s:ns', ['team-a']],
    ['k8s:sa', ['agents']],
    ['k8s:pod-name', ['agent-1']],
    ['k8s:node', ['node-1']],
    ['k8s:container-name', ['agent']],
    ['k8s:pod-label:app', ['agent-1']],
    ['k8s:pod-label:app.kubernetes.io/name', ['x']],
    ['k8s:pod-label:toString', []],
    ['k8s:pod-label:other', []],
  ])('a pod has %s', async (key, values) => {
    const labels = { app: 'agent-1', 'app.kubernetes.io/name': 'x' };
    expect(await asking(tableOf([1, { labels }])).ask(key, { container: 1 })).toEqual(values);
  });

  it('is looked for once, however many keys are asked for', async () => {
    const { attestor, looks } = asking(tableOf([1]));
    const subject = subjectOf({ container: 2 });
    expect(await attestor.values('k8s:ns', subject)).toEqual([]);
    expect(await attestor.values('k8s:sa', subject)).toEqual([]);
    expect(looks()).toBe(1);
  });

  it.each<[string, PodChoice]>([
    ['terminating', { isEnding: true }],
    ['succeeded', { phase: 'Succeeded' }],
    ['failed', { phase: 'Failed' }],
    ['of a node that is lost', { phase: 'Unknown' }],
    ['without this container', { status: { containerStatuses: [] } }],
    [
      'whose container has ended',
      {
        status: {
          containerStatuses: [{ name: 'a', containerID: `containerd://${containerId(1)}`, state: { terminated: {} } }],
        },
      },
    ],
    [
      'into which somebody put this container',
      {
        status: {
          containerStatuses: [],
          ephemeralContainerStatuses: [
            { name: 'a', containerID: `containerd://${containerId(1)}`, state: { running: {} } },
          ],
        },
      },
    ],
    [
      'whose container has no whole id',
      { status: { containerStatuses: [{ name: 'a', containerID: 'containerd://cc', state: { running: {} } }] } },
    ],
  ])('nothing is said of a pod that is %s', async (_what, choice) => {
    expect(await asking(tableOf([1, choice])).ask('k8s:ns', { container: 1 })).toEqual([]);
  });

  it('an init container says so while its pod begins', async () => {
    const running = [{ name: 'init', containerID: `cri-o://${containerId(1)}`, state: { running: {} } }];
    const table = tableOf([1, { phase: 'Pending', status: { containerStatuses: [], initContainerStatuses: running } }]);
    expect(await asking(table).ask('k8s:container-name', { container: 1 })).toEqual(['init']);
  });

  it.each<[string, string | null]>([
    ['of a user', `/user.slice/user-1000.slice/user@1000.service/cri-containerd-${containerId(1)}.scope`],
    ['of another pod', cgroupOf(2).replace(containerId(2), containerId(1))],
    ['that is not known', null],
  ])('nothing is said of a control group %s', async (_what, cgroup) => {
    expect(await asking(tableOf([1]), 'trusted').ask('k8s:ns', { container: 1, cgroup, address: '10.1.0.1' })).toEqual(
      [],
    );
  });
});

describe('by its address', () => {
  const remote = { address: '10.1.0.1' };

  it('a pod is known only where that was configured', async () => {
    const table = tableOf([1]);
    expect(await asking(table).ask('k8s:ns', remote)).toEqual([]);
    expect(await asking(table, 'beside-token').ask('k8s:ns', remote)).toEqual([]);
    expect(await asking(table, 'trusted').ask('k8s:ns', remote)).toEqual(['team-a']);
    expect(await asking(table, 'trusted').ask('k8s:pod-label:app', { address: '::ffff:10.1.0.1' })).toEqual([
      'agent-1',
    ]);
  });

  it('in any spelling, and each of several', async () => {
    const table = tableOf([1, { status: { podIPs: [{ ip: '10.1.0.1' }, { ip: '2001:db8:0::1' }] } }]);
    for (const address of ['10.1.0.1', '2001:db8::1', '2001:DB8:0:0::1'])
      expect(await asking(table, 'trusted').ask('k8s:ns', { address })).toEqual(['team-a']);
  });

  it('has no container', async () => {
    expect(await asking(tableOf([1]), 'trusted').ask('k8s:container-name', remote)).toEqual([]);
  });

  it.each<[string, PodTable, Caller]>([
    ['is of the network of its host', tableOf([1, { hostNetwork: true }]), remote],
    ['has the address of another pod', tableOf([1], [2, { address: '10.1.0.1' }]), remote],
    ['has the address of one that is terminating', tableOf([1], [2, { address: '10.1.0.1', isEnding: true }]), remote],
    ['is terminating', tableOf([1, { isEnding: true }]), remote],
    ['is over', tableOf([1, { phase: 'Succeeded' }]), remote],
    ['is elsewhere', tableOf([1]), { address: '10.1.0.2' }],
    ['calls from this host', tableOf([1]), { ...remote, isLocal: true }],
  ])('nothing is said where the pod %s', async (_what, table, caller) => {
    expect(await asking(table, 'trusted').ask('k8s:ns', caller)).toEqual([]);
  });

  it('an address is free again when its pod is over', async () => {
    const table = tableOf([1, { phase: 'Failed' }], [2, { address: '10.1.0.1' }]);
    expect(await asking(table, 'trusted').ask('k8s:pod-name', remote)).toEqual(['agent-2']);
  });
});

describe('beside the token of a service account', () => {
  const kind = 'k8s-service-account';
  const subject = 'system:serviceaccount:team-a:agents';
  it.each<[string, Partial<VerifiedToken>, string[]]>([
    [
      'of this pod',
      { kind, subject, claims: { 'kubernetes.io.pod.uid': [podUid(1)], 'kubernetes.io.pod.name': ['agent-1'] } },
      ['team-a'],
    ],
    ['of no pod', { kind, subject, claims: {} }, ['team-a']],
    ['of another kind', { kind: 'jwt', subject: 'x', claims: { 'kubernetes.io.pod.uid': ['x'] } }, ['team-a']],
    ['of another pod', { kind, subject, claims: { 'kubernetes.io.pod.uid': [podUid(2)] } }, []],
    ['of another pod by name', { kind, subject, claims: { 'kubernetes.io.pod.name': ['agent-2'] } }, []],
    ['of another account', { kind, subject: 'system:serviceaccount:team-a:other', claims: {} }, []],
    ['of another namespace', { kind, subject: 'system:serviceaccount:team-b:agents', claims: {} }, []],
  ])('%s, a pod says %j', async (_what, token, values) => {
    const remote = { address: '10.1.0.1', token };
    expect(await asking(tableOf([1]), 'trusted').ask('k8s:ns', remote)).toEqual(values);
    expect(await asking(tableOf([1])).ask('k8s:ns', remote)).toEqual([]);
    // One of another kind says nothing of the pod, so the address stands alone.
    expect(await asking(tableOf([1]), 'beside-token').ask('k8s:ns', remote)).toEqual(token.kind === kind ? values : []);
    expect(await asking(tableOf([1])).ask('k8s:ns', { container: 1, token })).toEqual(values);
  });
});

describe('the table of pods', () => {
  it('is bounded, and forgets what goes', () => {
    const table = new PodTable(2);
    const parsed = [1, 2, 3].map((n) => {
      const pod = podOf(n, { address: '10.1.0.1' });
      return parsePod({ ...pod, metadata: { ...pod.metadata, resourceVersion: '1' } }).pod;
    });
    const [one, two, three] = parsed;
    if (one === undefined || two === undefined || three === undefined) throw new Error('unreachable');
    expect([table.put(one), table.put(two), table.put(three), table.put(two)]).toEqual([true, true, false, true]);
    expect(table.byAddress('10.1.0.1')).toBe('shared');
    table.remove(two.uid);
    expect(table.byAddress('10.1.0.1')).toBe(one);
    table.remove(one.uid);
    table.remove(one.uid);
    expect([table.size, table.byAddress('10.1.0.1'), table.byContainer(containerId(1))]).toEqual([0, null, null]);
  });
});
