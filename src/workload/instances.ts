/**
 * Duty: the instances of workloads that somebody created here, and the tokens they prove themselves with.
 * In → Out: order → instance and token, once; token → instance, or null; time → the end of each.
 * Holds: tokens have 256 random bits and only their SHA-256 is kept; an ended instance matches nothing; none outlives the
 *   longest time that it was created with; the table is bounded.
 * Threat: whoever reads the token *is* the instance until its end, so it lives minutes to hours, is bound to one workload and
 *   may be bound to a part of what that may do and to one user of the host.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { instanceTokenOf } from '../core/gateway-key.ts';
import { createSpiffeId, type SpiffeId } from '../core/spiffe-id.ts';
import type { Scope } from '../policy/options.ts';

/** As much of an instance as a tunnel is identified with. */
export interface KnownInstance {
  /** `i-` and 16 hex digits. */
  readonly id: string;
  readonly workload: string;
  readonly scope?: Scope;
  /** The user whose connections alone the token is good for; absent: anybody's. */
  readonly uid?: number;
}

export interface Instance extends KnownInstance {
  readonly labels: Readonly<Record<string, string>>;
  /** Epoch `ms`, as `expiresAt`. */
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface InstanceOrder {
  readonly workload: string;
  readonly ttlMs: number;
  /** From creation to end, extensions included; `ttlMs` where left out. */
  readonly maxTtlMs?: number;
  /** From the end of its time to its last byte; 0 where left out. */
  readonly graceMs?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly scope?: Scope;
  readonly uid?: number;
}

/** Hears what time does; not what `end` does. Must not throw. */
export interface InstanceListener {
  /** No new request from now on. */
  expired(instance: Instance): void;
  /** The grace is over too. */
  over(instance: Instance): void;
}

export interface InstanceQuery {
  readonly workload: string | null;
  /** All of them must be there. */
  readonly labels: Readonly<Record<string, string>>;
  /** What the page before said; null: the first. */
  readonly after: number | null;
  readonly limit: number;
}

export interface InstancePage {
  readonly instances: readonly Instance[];
  /** Null: there are no more. */
  readonly next: number | null;
}

const MAX_INSTANCES = 100_000;
const TOKEN_BYTES = 32;

interface Entry {
  instance: Instance;
  /** Counts creations; what pages go on from. */
  readonly serial: number;
  readonly tokenHash: string;
  readonly graceMs: number;
  /** Monotonic `ms`, as `lastEndMs`. */
  endsAtMs: number;
  readonly lastEndMs: number;
  isExpired: boolean;
  timer: ScheduledTask | null;
}

export class InstanceRegistry {
  readonly #clock: Clock;
  readonly #byHash = new Map<string, Entry>();
  /** Those in their grace too, in the order of their creation. */
  readonly #byId = new Map<string, Entry>();
  /** Workload → how many of it live or are in their grace. */
  readonly #counts = new Map<string, number>();
  #listener: InstanceListener | null = null;
  #serial = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those in their grace too. */
  get count(): number {
    return this.#byId.size;
  }

  countOf(workload: string): number {
    return this.#counts.get(workload) ?? 0;
  }

  listen(listener: InstanceListener): void {
    this.#listener = listener;
  }

  /** The token is returned here and never again. @throws EgressError `overload` at the limit. */
  create(order: InstanceOrder): { readonly instance: Instance; readonly token: string } {
    if (this.#byId.size >= MAX_INSTANCES)
      throw new EgressError('overload', {
        detail: `there are ${MAX_INSTANCES} instances; end some, or create them with a shorter ttl`,
      });
    const { workload, ttlMs, maxTtlMs = ttlMs, graceMs = 0, labels = {}, scope, uid } = order;
    const token = instanceTokenOf(randomBytes(TOKEN_BYTES));
    const createdAt = this.#clock.now();
    const instance: Instance = {
      id: `i-${randomBytes(8).toString('hex')}`,
      workload,
      ...(scope === undefined ? {} : { scope }),
      ...(uid === undefined ? {} : { uid }),
      labels,
      createdAt,
      expiresAt: createdAt + ttlMs,
    };
    const nowMs = this.#clock.monotonicMs();
    const entry: Entry = {
      instance,
      serial: ++this.#serial,
      tokenHash: hashOf(token),
      graceMs,
      endsAtMs: nowMs + Math.min(ttlMs, maxTtlMs),
      lastEndMs: nowMs + maxTtlMs,
      isExpired: false,
      timer: null,
    };
    this.#byHash.set(entry.tokenHash, entry);
    this.#byId.set(instance.id, entry);
    this.#counts.set(workload, this.countOf(workload) + 1);
    this.#arm(entry, ttlMs);
    return { instance, token };
  }

  /** The live instance of that token. */
  find(token: string): Instance | null {
    return this.findByHash(hashOf(token));
  }

  /** The same by the token's SHA-256, base64. Looking up by hash leaks no timing of the token: a guess does not steer its own hash. */
  findByHash(tokenHash: string): Instance | null {
    const entry = this.#byHash.get(tokenHash);
    return entry !== undefined && this.#isLive(entry) ? entry.instance : null;
  }

  /** The live instance. */
  get(id: string): Instance | null {
    const entry = this.#byId.get(id);
    return entry !== undefined && this.#isLive(entry) ? entry.instance : null;
  }

  isAlive(id: string): boolean {
    return this.get(id) !== null;
  }

  /** `ms` to its end; 0 where it has come. */
  remainingMs(id: string): number {
    return Math.max(0, (this.#byId.get(id)?.endsAtMs ?? 0) - this.#clock.monotonicMs());
  }

  /** Lives for `ttlMs` from now, but not beyond its longest time, and never shorter than before; null where none lives. */
  extend(id: string, ttlMs: number): Instance | null {
    const entry = this.#byId.get(id);
    if (entry === undefined || !this.#isLive(entry)) return null;
    const nowMs = this.#clock.monotonicMs();
    const endsAtMs = Math.max(entry.endsAtMs, Math.min(nowMs + ttlMs, entry.lastEndMs));
    // The timer looks at the new end when it fires for the old one.
    entry.endsAtMs = endsAtMs;
    entry.instance = { ...entry.instance, expiresAt: Math.round(this.#clock.now() + endsAtMs - nowMs) };
    return entry.instance;
  }

  /** Ends it now, without grace; null where there was none. */
  end(id: string): Instance | null {
    const entry = this.#byId.get(id);
    if (entry === undefined) return null;
    this.#remove(entry);
    return entry.instance;
  }

  /** Those that live, oldest first. */
  page({ workload, labels, after, limit }: InstanceQuery): InstancePage {
    const wanted = Object.entries(labels);
    const instances: Instance[] = [];
    let last = 0;
    for (const entry of this.#byId.values()) {
      const { instance, serial } = entry;
      if (serial <= (after ?? 0) || !this.#isLive(entry)) continue;
      if (workload !== null && instance.workload !== workload) continue;
      if (wanted.some(([key, value]) => instance.labels[key] !== value)) continue;
      if (instances.length === limit) return { instances, next: last };
      instances.push(instance);
      last = serial;
    }
    return { instances, next: null };
  }

  #isLive(entry: Entry): boolean {
    return this.#clock.monotonicMs() < entry.endsAtMs;
  }

  #arm(entry: Entry, delayMs: number): void {
    entry.timer = this.#clock.schedule(Math.max(1, Math.ceil(delayMs)), () => this.#look(entry));
  }

  #look(entry: Entry): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < entry.endsAtMs) {
      this.#arm(entry, entry.endsAtMs - nowMs);
      return;
    }
    if (!entry.isExpired) {
      entry.isExpired = true;
      this.#byHash.delete(entry.tokenHash);
      this.#listener?.expired(entry.instance);
    }
    const leftMs = entry.endsAtMs + entry.graceMs - nowMs;
    if (leftMs > 0) {
      this.#arm(entry, leftMs);
    } else if (this.#byId.get(entry.instance.id) === entry) {
      this.#remove(entry);
      this.#listener?.over(entry.instance);
    }
  }

  #remove(entry: Entry): void {
    const { id, workload } = entry.instance;
    entry.timer?.cancel();
    this.#byHash.delete(entry.tokenHash);
    this.#byId.delete(id);
    const left = this.countOf(workload) - 1;
    if (left > 0) this.#counts.set(workload, left);
    else this.#counts.delete(workload);
  }
}

/** `spiffe://<trust domain>/<workload>/<id>`; no workload's name ends like an id (config/compile-identity.ts). */
export function instanceSpiffeId(trustDomain: string, workload: string, id: string): SpiffeId {
  return createSpiffeId(trustDomain, `/${workload}/${id}`);
}

/** SHA-256, base64. */
const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64');
