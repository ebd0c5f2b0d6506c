/**
 * Duty: evidence from the Kubernetes API about the pod that a caller runs in.
 * In → Out: `k8s:*` → what the API server says of the pod of the caller's container, or of the caller's address.
 * Holds: the control group must be one that the kubelet made for that very pod; an address is looked at only where that was
 *   configured and the caller is none of this host's, and unless it is trusted only beside the token of the pod's service
 *   account; a token of another pod contradicts, and then nothing is said.
 * Threat: by address, whoever can send from a pod's address is that pod: the CNI must stop spoofed sources, and an address
 *   may pass to another pod some moments before it is known here. Labels are set by whoever may write the pod.
 * Source: Kubernetes API, core/v1 Pod.
 */
import type { Attestor, Subject } from '../attestor.ts';
import { isOfPod } from '../container-cgroup.ts';
import { canonicalAddress, type Pod } from '../kubernetes/pod.ts';
import type { PodWatch } from '../kubernetes/pod-watch.ts';
import type { PodAddress, SelectorKey } from '../options.ts';

const LABEL = 'k8s:pod-label:';
const KEYS: ReadonlySet<string> = new Set(['k8s:ns', 'k8s:sa', 'k8s:pod-name', 'k8s:container-name', 'k8s:node']);
/** Claims of a service account's token that say which pod it was made for. */
const POD_UID = 'kubernetes.io.pod.uid';
const POD_NAME = 'kubernetes.io.pod.name';

interface Found {
  readonly pod: Pod;
  /** Null: by address, which all containers of the pod have. */
  readonly container: string | null;
}

export function createKubernetesAttestor(pods: Pick<PodWatch, 'find'>, podAddress: PodAddress): Attestor {
  // One look for all keys of a subject: a pod that is not known costs its wait once.
  const known = new WeakMap<Subject, Promise<Found | null>>();
  const find = async (subject: Subject): Promise<Found | null> => {
    const byContainer = await findByContainer(pods, subject);
    if (byContainer !== null || podAddress === 'ignored') return byContainer;
    const byAddress = await findByAddress(pods, subject);
    if (byAddress === null || podAddress === 'trusted' || isOfAccount(byAddress.pod, subject) !== null)
      return byAddress;
    subject.doubt('the address is of a pod, and no token of a service account was sent');
    return null;
  };
  return {
    answersFor: (key) => KEYS.has(key) || key.startsWith(LABEL),
    values: async (key, subject) => {
      const finding = known.get(subject) ?? find(subject);
      known.set(subject, finding);
      const found = await finding;
      if (found === null) return [];
      if (!found.pod.isServing) subject.doubt('the pod is ending, has ended, or has not begun');
      else if (isOfAccount(found.pod, subject) === false) subject.doubt('the token is of another pod');
      else return valuesOf(key, found);
      return [];
    },
  };
}

async function findByContainer(pods: Pick<PodWatch, 'find'>, subject: Subject): Promise<Found | null> {
  const process = await subject.process();
  if (process === null || process.containerId === null || process.cgroup === null) return null;
  const { containerId, cgroup } = process;
  const pod = await pods.find((table) => table.byContainer(containerId));
  if (pod === null) subject.doubt('the cluster knows no such container that runs, or does not answer');
  else if (!isOfPod(cgroup, containerId, pod.uid))
    subject.doubt('the control group is not one of the pod that it names');
  else return { pod, container: pod.containers.get(containerId) ?? null };
  return null;
}

async function findByAddress(pods: Pick<PodWatch, 'find'>, subject: Subject): Promise<Found | null> {
  const address = canonicalAddress(subject.connection.remote.address);
  if (address === null || (await subject.owner()) !== null) return null;
  const pod = await pods.find((table) => table.byAddress(address));
  if (pod === null) subject.doubt('the cluster knows no pod of that address, or does not answer');
  else if (pod === 'shared') subject.doubt('the address is of several pods');
  else return { pod, container: null };
  return null;
}

/** What the token of a service account says of the pod; null: there is none. */
function isOfAccount(pod: Pod, { token }: Subject): boolean | null {
  if (token?.kind !== 'k8s-service-account') return null;
  const differs = (claim: string, value: string): boolean => token.claims[claim]?.includes(value) === false;
  const account = `system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`;
  return token.subject === account && !differs(POD_UID, pod.uid) && !differs(POD_NAME, pod.name);
}

function valuesOf(key: SelectorKey, { pod, container }: Found): string[] {
  switch (key) {
    case 'k8s:ns':
      return [pod.namespace];
    case 'k8s:sa':
      return present(pod.serviceAccount);
    case 'k8s:pod-name':
      return [pod.name];
    case 'k8s:node':
      return present(pod.node);
    case 'k8s:container-name':
      return present(container ?? '');
    default: {
      const label = pod.labels.get(key.slice(LABEL.length));
      return label === undefined ? [] : [label];
    }
  }
}

const present = (value: string): string[] => (value === '' ? [] : [value]);
