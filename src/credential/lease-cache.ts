/**
 * Duty: every lease of this process.
 * In → Out: (workload, binding, source) → a credential; at the end, every lease revoked.
 * Holds: nothing is shared between two workloads or bindings, nor between two instances where the binding says so; a workload
 *   has a bounded number of leases, and all sources together a bounded number of calls at once.
 * Fails: `credential_*`, `draining`.
 * Not here: one lease's life (lease-slot.ts, lease.ts).
 */
import type { Clock } from '../core/clock.ts';
import { EgressError, type ErrorCode } from '../core/errors.ts';
import type { BindingOptions } from '../policy/options.ts';
import type { Workload } from '../workload/workload.ts';
import type { BindingStanding, Credential, LeaseListing, Rotation } from './credential.ts';
import { untilAborted } from './deadline.ts';
import { Lease, leaseOf } from './lease.ts';
import type { LeaseEvent } from './lease-event.ts';
import { LeaseSlot, type SlotHost, type SlotSubject } from './lease-slot.ts';
import { Shares } from './shares.ts';
import { type CredentialSource, destroyParts, type Grant } from './source.ts';
import { Turnstile } from './turnstile.ts';

export interface LeaseCacheOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly maxLeasesPerWorkload: number;
  readonly maxLeasesPerSource: number;
  /** Must not throw. */
  readonly observe: (event: LeaseEvent) => void;
  /** The key of a credential that no new exchange may get; must not throw. */
  readonly onRetired: (key: string) => void;
}

/** Who obtains what all instances of a workload share: nobody among them. */
const sharedBy = ({ name, spiffeId, placeholders, presented, provenUntil }: Workload): Workload => ({
  ...{ name, spiffeId, placeholders },
  instance: null,
  evidence: [],
  ...(presented === undefined ? {} : { presented }),
  ...(provenUntil === undefined ? {} : { provenUntil }),
});

/** In the names of leases of deliveries; no name of a document has it, so no permit can mean them. */
export const DELIVERY_SIGN = '#';
const MAX_CALLS = 48;
const REVOKE_MS = 5000;
const MAX_ENDED_INSTANCES = 10_000;

export class LeaseCache {
  readonly #options: LeaseCacheOptions;
  readonly #slots = new Map<string, LeaseSlot>();
  readonly #leases = new Map<Lease, LeaseSlot>();
  readonly #held = new Shares();
  /** Sources that did not answer when they were asked last. */
  readonly #away = new WeakSet<CredentialSource>();
  readonly #turnstile = new Turnstile(MAX_CALLS);
  /** Instance → what is its alone. */
  readonly #own = new Map<string, { readonly slots: Set<LeaseSlot>; readonly leases: Set<Lease> }>();
  readonly #endedInstances = new Set<string>();
  readonly #endings = new Set<Promise<boolean>>();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #cut = new AbortController();
  readonly #host: SlotHost;
  #serial = 0;
  #isClosed = false;

  constructor(options: LeaseCacheOptions) {
    this.#options = options;
    this.#host = {
      clock: options.clock,
      random: options.random,
      reserve: (subject) => this.#reserve(subject),
      isAway: (source) => this.#away.has(source),
      wasThere: (source, isThere) => void (isThere ? this.#away.delete(source) : this.#away.add(source)),
      call: (signal, task) => this.#call(signal, task),
      createLease: (slot, grant, generation, unreserve) => this.#createLease(slot, grant, generation, unreserve),
      discard: (grant) => {
        destroyParts(grant);
        void this.#end(grant);
      },
      forget: (slot) => {
        if (this.#slots.get(slot.subject.key) === slot) this.#slots.delete(slot.subject.key);
        this.#disown(slot.subject.workload.instance, (own) => own.slots.delete(slot));
      },
      observe: (slot, kind, error) => this.#observe(slot, kind, error?.code ?? null, slot.lease),
    };
  }

  /** No promise where the lease is there. */
  obtain(
    workload: Workload,
    binding: Pick<BindingOptions, 'name' | 'perInstance'>,
    source: CredentialSource,
    signal: AbortSignal,
  ): Credential | Promise<Credential> {
    if (this.#isClosed) throw new EgressError('draining');
    if (workload.instance !== null && this.#endedInstances.has(workload.instance))
      throw new EgressError('credential_denied', { detail: 'the instance of the workload has ended' });
    return this.#slotFor(workload, binding, source).obtain(signal);
  }

  release(credential: Credential): void {
    leaseOf(credential)?.release();
  }

  invalidate(credential: Credential): boolean {
    const lease = leaseOf(credential);
    return lease !== undefined && this.#leases.get(lease)?.invalidate(lease) === true;
  }

  /** Ends what is the instance's alone. */
  async revokeInstance(instance: string): Promise<{ revoked: number; failed: number }> {
    this.#endedInstances.add(instance);
    const [oldest] = this.#endedInstances;
    if (this.#endedInstances.size > MAX_ENDED_INSTANCES && oldest !== undefined) this.#endedInstances.delete(oldest);
    const own = this.#own.get(instance);
    for (const slot of [...(own?.slots ?? [])]) this.#closeSlot(slot);
    const worked = await Promise.all([...(own?.leases ?? [])].map((lease) => lease.revokeNow()));
    const revoked = worked.filter(Boolean).length;
    return { revoked, failed: worked.length - revoked };
  }

  /** Ends what the instances of the workload shared, when the last exchange that uses it is over; who comes gets a new one. */
  retireShared(workload: string): void {
    for (const slot of this.#slots.values()) {
      const { name, instance } = slot.subject.workload;
      if (name === workload && instance === null && !slot.subject.binding.includes(DELIVERY_SIGN)) slot.retire();
    }
  }

  /** Of every instance of the workload. */
  async revokeBinding(workload: string, binding: string): Promise<void> {
    const isIt = (names: { readonly workload: string; readonly binding: string }): boolean =>
      names.workload === workload && names.binding === binding;
    for (const slot of this.#slots.values())
      if (isIt({ ...slot.subject, workload: slot.subject.workload.name })) this.#closeSlot(slot);
    await Promise.all([...this.#leases.keys()].filter(({ names }) => isIt(names)).map((lease) => lease.revokeNow()));
  }

  /** A new generation of every lease of the source; the old ones end with the last exchange that uses them. */
  async rotate(source: string): Promise<Rotation> {
    const slots = [...this.#slots.values()].filter(({ subject }) => subject.source.name === source);
    const outcomes = await Promise.all(slots.map((slot) => slot.rotate()));
    return {
      replaced: outcomes.filter((outcome) => outcome === true).length,
      failed: outcomes.filter((outcome) => outcome === false).length,
    };
  }

  async close(deadlineMs: number): Promise<{ revoked: number; failed: number }> {
    this.#isClosed = true;
    const timer = this.#options.clock.schedule(deadlineMs, () => this.#cut.abort(new EgressError('draining')));
    for (const slot of this.#slots.values()) this.#closeSlot(slot);
    for (const lease of this.#leases.keys()) void lease.revokeNow();
    let revoked = 0;
    let failed = 0;
    const counted = new Set<Promise<boolean>>();
    const count = async (ending: Promise<boolean>): Promise<void> => {
      if (await ending) revoked++;
      else failed++;
    };
    // What a source still has on its way arrives now or cleans up after itself; what arrives is ended and counted too.
    for (;;) {
      const open = [...this.#endings].filter((ending) => !counted.has(ending));
      for (const ending of open) counted.add(ending);
      await Promise.all(open.map(count));
      if (open.length === 0 && (this.#calls.size === 0 || !(await this.#callsSettled()))) break;
    }
    timer.cancel();
    return { revoked, failed };
  }

  list(): readonly LeaseListing[] {
    const now = this.#options.clock.monotonicMs();
    return [...this.#leases.keys()].map((lease) => ({
      workload: lease.names.workload,
      instance: lease.names.instance,
      binding: lease.names.binding,
      source: lease.names.source,
      generation: lease.names.generation,
      inUse: lease.inUse,
      state: lease.isCurrent ? 'current' : 'draining',
      ageMs: Math.round(now - lease.startedAtMs),
      remainingMs: Math.max(0, Math.round(lease.endsAtMs - now)),
      lease: lease.credential.lease,
    }));
  }

  standings(): readonly Omit<BindingStanding, 'way'>[] {
    return [...this.#slots.values()].map(({ subject: { workload, binding, source }, standing }) => ({
      workload: workload.name,
      instance: workload.instance,
      binding,
      source: source.name,
      ...standing,
    }));
  }

  /** A source that was replaced by a reload is another source: what came from the old one is not given out any more. */
  #slotFor(
    workload: Workload,
    { name: binding, perInstance }: Pick<BindingOptions, 'name' | 'perInstance'>,
    source: CredentialSource,
  ): LeaseSlot {
    const instance = perInstance === true ? workload.instance : null;
    const key = `${workload.name}\n${instance ?? ''}\n${binding}`;
    const known = this.#slots.get(key);
    if (known !== undefined && known.subject.source === source) {
      known.hear(workload);
      return known;
    }
    if (known !== undefined) this.#closeSlot(known);
    const holder = instance === null ? sharedBy(workload) : workload;
    const slot = new LeaseSlot(this.#host, { key, workload: holder, binding, source }, known?.generation ?? 0);
    this.#slots.set(key, slot);
    if (instance !== null) this.#ownOf(instance).slots.add(slot);
    return slot;
  }

  #ownOf(instance: string): { readonly slots: Set<LeaseSlot>; readonly leases: Set<Lease> } {
    const own = this.#own.get(instance) ?? { slots: new Set(), leases: new Set() };
    this.#own.set(instance, own);
    return own;
  }

  #disown(instance: string | null, remove: (own: { slots: Set<LeaseSlot>; leases: Set<Lease> }) => void): void {
    const own = instance === null ? undefined : this.#own.get(instance);
    if (own === undefined || instance === null) return;
    remove(own);
    if (own.slots.size === 0 && own.leases.size === 0) this.#own.delete(instance);
  }

  #closeSlot(slot: LeaseSlot): void {
    this.#host.forget(slot);
    slot.close();
  }

  /** Each instance counts for itself: a workload cannot create any. */
  #reserve({ workload, source }: SlotSubject): () => void {
    const { maxLeasesPerWorkload, maxLeasesPerSource } = this.#options;
    const leave = this.#held.take(`${workload.name}\n${workload.instance ?? ''}`, maxLeasesPerWorkload, 'workload');
    try {
      // No name of a workload begins with a line feed.
      const leaveSource = this.#held.take(`\n${source.name}`, maxLeasesPerSource, 'credential source');
      return () => {
        leave();
        leaveSource();
      };
    } catch (thrown) {
      leave();
      throw thrown;
    }
  }

  #createLease(slot: LeaseSlot, grant: Grant, generation: number, unreserve: () => void): Lease {
    const { workload, binding, source, key } = slot.subject;
    const lease = new Lease({
      names: {
        workload: workload.name,
        instance: workload.instance,
        binding,
        source: source.name,
        generation,
        key: `${key}\n${++this.#serial}`,
      },
      grant,
      clock: this.#options.clock,
      revoke: async () => {
        const worked = await this.#end(grant);
        this.#observe(slot, worked ? 'revoked' : 'revoke_failed', null, lease);
        return worked;
      },
      onRetired: () => this.#options.onRetired(lease.names.key),
      onGone: () => {
        if (!this.#leases.delete(lease)) return;
        unreserve();
        this.#disown(workload.instance, (own) => own.leases.delete(lease));
      },
    });
    this.#leases.set(lease, slot);
    if (workload.instance !== null) this.#ownOf(workload.instance).leases.add(lease);
    return lease;
  }

  #call<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const call = this.#turnstile.pass(signal, task);
    const forget = (): void => void this.#calls.delete(settled);
    const settled: Promise<void> = call.then(forget, forget);
    this.#calls.add(settled);
    return call;
  }

  /** Waits for the calls of now; false where the deadline came first. */
  #callsSettled(): Promise<boolean> {
    if (this.#cut.signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#cut.signal.addEventListener('abort', () => resolve(false), { once: true });
      void Promise.all(this.#calls).then(() => resolve(true));
    });
  }

  /** Revokes within a deadline; resolves with whether that worked. */
  #end(grant: Grant): Promise<boolean> {
    const signal = AbortSignal.any([AbortSignal.timeout(REVOKE_MS), this.#cut.signal]);
    // A source that does not listen must not hold up the end.
    const ending: Promise<boolean> = untilAborted(
      this.#turnstile.pass(signal, () => grant.revoke(signal)),
      signal,
    )
      .then(
        () => true,
        () => false,
      )
      .finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    return ending;
  }

  #observe(slot: LeaseSlot, kind: LeaseEvent['kind'], code: ErrorCode | null, lease: Lease | null): void {
    const { workload, binding, source } = slot.subject;
    this.#options.observe({
      ...{ kind, workload: workload.name, instance: workload.instance, binding, source: source.name, code },
      generation: lease?.names.generation ?? null,
      lease: lease?.credential.lease ?? null,
    });
  }
}
