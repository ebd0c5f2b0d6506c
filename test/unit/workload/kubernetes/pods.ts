/** Duty: pods as an API server tells them, for tests. */
import type { FakePod } from '../../../fakes/fake-kubernetes-api.ts';

export const containerId = (n: number): string => n.toString(16).padStart(64, '0');
export const podUid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
/** As the kubelet names it with the systemd driver and containerd. */
export const cgroupOf = (n: number): string =>
  `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${podUid(n).replaceAll('-', '_')}.slice/cri-containerd-${containerId(n)}.scope`;

export interface PodChoice {
  readonly address?: string;
  readonly phase?: string;
  readonly labels?: unknown;
  readonly node?: string;
  readonly namespace?: string;
  readonly hostNetwork?: boolean;
  readonly isEnding?: boolean;
  readonly status?: object;
}

/** The n-th pod: `agent-n`, with one container that runs. */
export function podOf(n: number, choice: PodChoice = {}): FakePod {
  const address = choice.address ?? `10.1.${n >> 8}.${n & 255}`;
  return {
    metadata: {
      uid: podUid(n),
      name: `agent-${n}`,
      namespace: choice.namespace ?? 'team-a',
      labels: choice.labels ?? { app: `agent-${n}` },
      ...(choice.isEnding === true ? { deletionTimestamp: '2026-01-15T12:00:00Z' } : {}),
    },
    spec: {
      serviceAccountName: 'agents',
      nodeName: choice.node ?? 'node-1',
      ...(choice.hostNetwork === true ? { hostNetwork: true } : {}),
    },
    status: {
      phase: choice.phase ?? 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      containerStatuses: [
        {
          name: 'agent',
          ready: true,
          containerID: `containerd://${containerId(n)}`,
          state: { running: { startedAt: '2026-01-15T11:00:00Z' } },
        },
      ],
      ...choice.status,
    },
  };
}
