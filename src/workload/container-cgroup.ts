/**
 * Duty: which control group is a container's own, by its path.
 * In → Out: path and container id → the part of the path down to the container; for a pod also the pod's uid.
 * Holds: a path that somebody else than the kubelet may have made is no pod's.
 * Source: cgroups(7); kubelet's names: `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid, _ for ->.slice/
 *   cri-containerd-<id>.scope` (systemd driver), `/kubepods/burstable/pod<uid>/<id>` (cgroupfs driver).
 */

/** `/system.slice/docker-<id>.scope/init.scope` → `/system.slice/docker-<id>.scope`; null: the path is not below one of that id. */
export function containerRoot(path: string, containerId: string): string | null {
  const segments = path.split('/');
  const at = segments.findIndex((segment) => segment.includes(containerId));
  return at === -1 ? null : segments.slice(0, at + 1).join('/');
}

const UID = '[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}|[0-9a-f]{32}';
/** What the kubelet makes above a container, and nobody below root can. */
const KUBELET_SEGMENT = new RegExp(
  `^(?:kubelet(?:\\.slice)?|(?:kubelet-)?kubepods(?:-burstable|-besteffort)?(?:-pod(${UID}))?\\.slice|kubepods|burstable|besteffort|pod(${UID}))$`,
);

/**
 * Whether the container's own control group lies where the kubelet puts those of that pod. Seen from within a control group
 * namespace, what lies above its root is `..`; a path that begins so may leave out the pod.
 */
export function isOfPod(path: string, containerId: string, podUid: string): boolean {
  const root = containerRoot(path, containerId);
  if (root === null || !root.startsWith('/')) return false;
  const above = root.split('/').slice(1, -1);
  const outside = above.findIndex((segment) => segment !== '..');
  const isRelative = above[0] === '..';
  const named = outside === -1 ? [] : above.slice(outside);
  if (named.length === 0) return isRelative;
  const matches = named.map((segment) => KUBELET_SEGMENT.exec(segment));
  if (matches.some((match) => match === null)) return false;
  const uid = matches
    .at(-1)
    ?.slice(1)
    .find((group) => group !== undefined);
  return uid !== undefined && uid.replaceAll(/[-_]/g, '') === podUid.replaceAll('-', '');
}
