/**
 * Duty: the connections that this proxy has made to destinations, so that it knows one that comes back to it.
 * In → Out: both ends as our side has them → whether it is one of them.
 * Holds: both ends count, for one port of ours may be used towards several destinations, and by others for theirs; of this process
 *   alone: where others share the listener, a loop ends at their limits.
 */
import { plainAddress } from './ip-address.ts';

interface End {
  readonly address: string;
  readonly port: number;
}

export class OwnEnds {
  readonly #ends = new Set<string>();

  /** Gives back how to forget it. */
  add(ours: End, theirs: End): () => void {
    const ends = `${textOf(ours)} ${textOf(theirs)}`;
    this.#ends.add(ends);
    return () => void this.#ends.delete(ends);
  }

  has(ours: End, theirs: End): boolean {
    return this.#ends.size > 0 && this.#ends.has(`${textOf(ours)} ${textOf(theirs)}`);
  }
}

const textOf = ({ address, port }: End): string => `${port} ${plainAddress(address)}`;
