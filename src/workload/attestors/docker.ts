/**
 * Duty: evidence from the container engine about the container that a caller runs in.
 * In → Out: `docker:image`, `docker:label:<k>` → what the engine says of the container whose control group holds the caller.
 * Holds: a control group that is only named like a container's is nobody's: it must be the one in which the engine's own
 *   first process of that container is. So the proxy must see the processes of the host.
 * Threat: whoever may speak to the engine's socket starts containers with any image and label, and is root besides. The name
 *   of an image is mutable by its tag; `sha256:…`, its ID, is not.
 * Source: cgroups(7); Docker Engine API.
 */
import { readFile } from 'node:fs/promises';
import type { Attestor } from '../attestor.ts';
import { containerRoot } from '../container-cgroup.ts';
import type { ContainerEngine, ContainerFacts } from '../container-engine.ts';
import { cgroupPath } from '../container-id.ts';
import type { ProcessFacts } from '../local-process.ts';
import type { SelectorKey } from '../options.ts';

const LABEL = 'docker:label:';

/** `proc` other than /proc is for tests. */
export function createDockerAttestor(engine: ContainerEngine, proc = '/proc'): Attestor {
  return {
    answersFor: (key) => key === 'docker:image' || key.startsWith(LABEL),
    values: async (key, subject) => {
      const process = await subject.process();
      if (process === null || process.containerId === null) return [];
      const container = await engine.find(process.containerId);
      if (container === null) {
        subject.doubt('the container engine knows no such container that runs, or does not answer');
        return [];
      }
      if (!(await isInside(process, container, proc))) {
        subject.doubt('the control group is not the one of the container that it names');
        return [];
      }
      return valuesOf(key, container);
    },
  };
}

function valuesOf(key: SelectorKey, { imageId, imageName, labels }: ContainerFacts): string[] {
  if (key === 'docker:image') return imageName.startsWith('sha256:') ? [imageId] : [imageId, imageName];
  const value = labels.get(key.slice(LABEL.length));
  return value === undefined ? [] : [value];
}

/** A service with a control group of its own (systemd's `Delegate=`) can name one below it as it likes. */
async function isInside(
  { containerId, cgroup }: ProcessFacts,
  { initPid }: ContainerFacts,
  proc: string,
): Promise<boolean> {
  if (containerId === null || cgroup === null) return false;
  const text = await readFile(`${proc}/${initPid}/cgroup`, 'utf8').catch(() => '');
  const root = containerRoot(cgroupPath(text) ?? '', containerId);
  return root !== null && root === containerRoot(cgroup, containerId);
}
