/**
 * Duty: the instances that a worker has met; the owner knows them all.
 * In → Out: token → instance, or null; id → whether it lives.
 * Holds: only the token's SHA-256 is asked with; what the owner ends is ended here by its next word; the memory is bounded
 *   by the owner's table, and what is over is forgotten.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { KnownInstance } from '../workload/instances.ts';
import type { Placeholders } from '../workload/workload.ts';
import type { Channel } from './channel.ts';
import { type FoundInstance, type InstanceExtension, TOPIC } from './topics.ts';

interface Known {
  readonly instance: KnownInstance;
  readonly tokenHash: string;
  endsAtMonotonicMs: number;
  readonly placeholders: Placeholders;
}

const SWEEP_ABOVE = 1_024;

export class RemoteInstances {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #byHash = new Map<string, Known>();
  /** Of workloads without an instance: one for each identity of the policy. */
  readonly #placeholders = new Map<string, Promise<Placeholders>>();
  #sweepAbove = SWEEP_ABOVE;

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** No promise where it was met before and lives. */
  find(token: string): KnownInstance | Promise<KnownInstance | null> {
    const tokenHash = hash('sha256', token, 'base64');
    const known = this.#byHash.get(tokenHash);
    if (known !== undefined && this.isAlive(known.instance.id)) return known.instance;
    return this.#channel.ask(TOPIC.instance, tokenHash, (body) => {
      const found = JSON.parse(body.toString('utf8')) as FoundInstance | null;
      return found === null ? null : this.#learn(found, tokenHash);
    });
  }

  isAlive(id: string): boolean {
    const known = this.#known.get(id);
    return known !== undefined && this.#clock.monotonicMs() < known.endsAtMonotonicMs;
  }

  /** The owner's word; what was never met is told when it is. */
  extended({ id, remainingMs }: InstanceExtension): void {
    const known = this.#known.get(id);
    if (known !== undefined) known.endsAtMonotonicMs = this.#clock.monotonicMs() + remainingMs;
  }

  /** The owner's word. */
  ended(id: string): void {
    const known = this.#known.get(id);
    this.#known.delete(id);
    if (known !== undefined) this.#byHash.delete(known.tokenHash);
  }

  placeholders(workload: string, instance: string | null): Placeholders | Promise<Placeholders> {
    const known = instance === null ? undefined : this.#known.get(instance);
    if (known !== undefined) return known.placeholders;
    // It ended between the answer and this turn.
    if (instance !== null) return Promise.reject(new EgressError('identity_required'));
    const asked =
      this.#placeholders.get(workload) ??
      this.#channel.ask(TOPIC.placeholders, workload, (body) => JSON.parse(body.toString('utf8')) as Placeholders);
    this.#placeholders.set(workload, asked);
    asked.catch(() => this.#placeholders.delete(workload));
    return asked;
  }

  #learn({ remainingMs, placeholders, ...instance }: FoundInstance, tokenHash: string): KnownInstance {
    this.#sweep();
    const former = this.#known.get(instance.id);
    const known: Known = {
      // The same objects for all connections of an instance: what later hops derive from them is found again by them.
      instance: former?.instance ?? instance,
      tokenHash,
      endsAtMonotonicMs: this.#clock.monotonicMs() + remainingMs,
      placeholders: former?.placeholders ?? placeholders,
    };
    this.#known.set(instance.id, known);
    this.#byHash.set(tokenHash, known);
    return known.instance;
  }

  #sweep(): void {
    if (this.#known.size < this.#sweepAbove) return;
    for (const id of this.#known.keys()) if (!this.isAlive(id)) this.ended(id);
    this.#sweepAbove = Math.max(SWEEP_ABOVE, 2 * this.#known.size);
  }
}
