/**
 * Duty: control groups of a process as text.
 * In → Out: /proc/PID/cgroup → path of its group; the container that an engine put it in, or null.
 * Holds: the outermost container counts, for what is inside can make groups with any name below its own; where two
 *   hierarchies name two containers there is none; below a user's own service manager anybody of that user can take any
 *   name, so nothing there counts.
 * Source: cgroups(7); the names that docker, containerd, cri-o, podman and nerdctl give, with both cgroup drivers.
 */

/** `docker-<id>.scope`, `cri-containerd-<id>.scope`, `kubepods-…:cri-containerd:<id>`, or `<id>` alone. */
const CONTAINER =
  /^(?:(?:docker|cri-containerd|crio|libpod|nerdctl)-|[^/]+:cri-containerd:)?([0-9a-f]{64})(?:\.scope)?$/;
/** `/user.slice/user-1001.slice/user@1001.service/…` */
const OF_A_USER = /(?:^|\/)user@[0-9]+\.service(?:\/|$)/;

interface Line {
  readonly controllers: string;
  readonly path: string;
}

/** In version 2 the one group; in version 1 that of the service manager, otherwise of a controller that all have. */
export function cgroupPath(text: string): string | null {
  const lines = linesOf(text);
  const unified = lines.find(({ controllers }) => controllers === '')?.path ?? null;
  if (unified !== null && unified !== '/') return unified;
  const version1 = ['name=systemd', 'pids', 'memory'].flatMap(
    (name) => lines.find(({ controllers }) => controllers.split(',').includes(name))?.path ?? [],
  );
  return version1.find((path) => path !== '/') ?? unified ?? version1[0] ?? null;
}

export function containerId(text: string): string | null {
  const ids = new Set(linesOf(text).flatMap(({ path }) => (OF_A_USER.test(path) ? [] : (outermost(path) ?? []))));
  const [only] = ids;
  return ids.size === 1 ? (only ?? null) : null;
}

function outermost(path: string): string | null {
  for (const segment of path.split('/')) {
    const id = CONTAINER.exec(segment)?.[1];
    if (id !== undefined) return id;
  }
  return null;
}

/** `4:memory:/docker/<id>`, `0::/system.slice/docker-<id>.scope` */
function linesOf(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^[0-9]+:([^:]*):(\/.*)$/.exec(line) ?? [];
    return controllers === undefined || path === undefined ? [] : [{ controllers, path }];
  });
}
