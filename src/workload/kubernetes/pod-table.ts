/**
 * Duty: the pods that are known, by uid, container and address.
 * Holds: an address that two pods claim is nobody's; the table is bounded, and one that is too small says so.
 */
import type { Pod } from './pod.ts';

export class PodTable {
  readonly #max: number;
  readonly #pods = new Map<string, Pod>();
  readonly #byContainer = new Map<string, Pod>();
  readonly #byAddress = new Map<string, Set<Pod>>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#pods.size;
  }

  /** Whether there was room. */
  put(pod: Pod): boolean {
    this.remove(pod.uid);
    if (this.#pods.size >= this.#max) return false;
    this.#pods.set(pod.uid, pod);
    for (const id of pod.containers.keys()) this.#byContainer.set(id, pod);
    if (pod.isOver) return true;
    for (const address of pod.addresses) {
      const pods = this.#byAddress.get(address) ?? new Set();
      this.#byAddress.set(address, pods.add(pod));
    }
    return true;
  }

  remove(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    for (const id of pod.containers.keys()) if (this.#byContainer.get(id) === pod) this.#byContainer.delete(id);
    for (const address of pod.addresses) {
      const pods = this.#byAddress.get(address);
      pods?.delete(pod);
      if (pods?.size === 0) this.#byAddress.delete(address);
    }
  }

  byContainer(id: string): Pod | null {
    return this.#byContainer.get(id) ?? null;
  }

  /** Canonical spelling. `shared`: it is of several, so of none. */
  byAddress(address: string): Pod | 'shared' | null {
    const pods = this.#byAddress.get(address);
    if (pods === undefined) return null;
    const [only] = pods;
    return pods.size === 1 && only !== undefined ? only : 'shared';
  }
}
