/**
 * Duty: what the API server says of one pod.
 * In → Out: JSON of a Pod → `Pod`, or a throw where it has not the shape of one.
 * Holds: only containers that run now; ephemeral ones never, for they are let in from outside while the pod runs.
 * Source: Kubernetes API, core/v1 Pod.
 */
import { z } from 'zod';
import { formatIp, parseIp, unmapped } from '../../core/ip-address.ts';

export interface Pod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Id → name, of the containers that run. */
  readonly containers: ReadonlyMap<string, string>;
  /** Its own, in canonical spelling; none where it shares those of its node. */
  readonly addresses: readonly string[];
  /** Whether it says anything: it has begun, and its end has not. */
  readonly isServing: boolean;
  /** Whether its addresses may belong to another pod by now. */
  readonly isOver: boolean;
}

const text = z.string();
const statuses = z
  .array(
    z.object({
      name: text,
      containerID: text.optional(),
      state: z.object({ running: z.object({}).optional() }).optional(),
    }),
  )
  .optional();
const podShape = z.object({
  metadata: z.object({
    uid: text.min(1),
    name: text.min(1),
    namespace: text.min(1),
    resourceVersion: text.min(1),
    deletionTimestamp: text.nullish(),
    labels: z.record(text, text).nullish(),
  }),
  spec: z.object({
    serviceAccountName: text.optional(),
    nodeName: text.optional(),
    hostNetwork: z.boolean().optional(),
  }),
  status: z.object({
    phase: text.optional(),
    podIP: text.optional(),
    podIPs: z.array(z.object({ ip: text })).optional(),
    containerStatuses: statuses,
    initContainerStatuses: statuses,
  }),
});

/** `containerd://<id>` */
const CONTAINER_ID = /^[a-z0-9-]+:\/\/([0-9a-f]{64})$/;

/** @throws ZodError */
export function parsePod(value: unknown): { readonly pod: Pod; readonly resourceVersion: string } {
  const { metadata, spec, status } = podShape.parse(value);
  const isOver = status.phase === 'Succeeded' || status.phase === 'Failed';
  const hasBegun = status.phase === 'Running' || status.phase === 'Pending';
  const pod: Pod = {
    uid: metadata.uid,
    name: metadata.name,
    namespace: metadata.namespace,
    serviceAccount: spec.serviceAccountName ?? '',
    node: spec.nodeName ?? '',
    labels: new Map(Object.entries(metadata.labels ?? {})),
    containers: runningIn([...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]),
    addresses: spec.hostNetwork === true ? [] : addressesIn(status),
    isServing: hasBegun && metadata.deletionTimestamp == null,
    isOver,
  };
  return { pod, resourceVersion: metadata.resourceVersion };
}

function runningIn(all: NonNullable<z.infer<typeof statuses>>): Map<string, string> {
  const running = new Map<string, string>();
  for (const { name, containerID, state } of all) {
    const id = CONTAINER_ID.exec(containerID ?? '')?.[1];
    if (id !== undefined && state?.running !== undefined) running.set(id, name);
  }
  return running;
}

function addressesIn({ podIP, podIPs }: z.infer<typeof podShape>['status']): string[] {
  const texts = [...(podIPs ?? []).map(({ ip }) => ip), ...(podIP === undefined ? [] : [podIP])];
  const canonical = texts.flatMap((each) => canonicalAddress(each) ?? []);
  return [...new Set(canonical)];
}

/** Null where it is none. */
export function canonicalAddress(address: string): string | null {
  const bytes = parseIp(address);
  return bytes === null ? null : formatIp(unmapped(bytes));
}
