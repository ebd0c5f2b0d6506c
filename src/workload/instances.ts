/**
 * Duty: the instances of workloads that this proxy started, and the tokens they prove themselves with.
 * In → Out: workload → instance and token, once; token → instance, or null.
 * Holds: tokens have 256 random bits and only their SHA-256 is kept; an ended instance matches nothing; the table is bounded.
 * Threat: whoever reads the token *is* the instance until its end, so it lives minutes to hours and is bound to one workload.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';

export interface Instance {
  /** `i-` and 16 hex digits. */
  readonly id: string;
  readonly workload: string;
  /** Epoch `ms`. */
  readonly expiresAt: number;
}

export interface InstanceRegistry {
  /** The token is returned here and never again. @throws EgressError `overload` at the limit. */
  create(workload: string, lifetimeMs: number): { readonly instance: Instance; readonly token: string };
  /** The live instance of that token. */
  find(token: string): Instance | null;
  /** The same by what `tokenHash` makes of the token, and how long it lives on. */
  findByHash(hash: string): { readonly instance: Instance; readonly remainingMs: number } | null;
  isAlive(id: string): boolean;
  /** Ends it; false where there was none. */
  end(id: string): boolean;
  list(): readonly Instance[];
}

const MAX_INSTANCES = 100_000;
const TOKEN_BYTES = 32;
const TOKEN_PREFIX = 'cs_';

/** Whether it claims to be a token of an instance; no other token may begin like one. */
export const isInstanceToken = (token: string): boolean => token.startsWith(TOKEN_PREFIX);

export function createInstanceRegistry(clock: Clock): InstanceRegistry {
  const byHash = new Map<string, Entry>();
  const byId = new Map<string, Entry>();
  const remove = (entry: Entry): void => {
    byHash.delete(entry.tokenHash);
    byId.delete(entry.instance.id);
  };
  const live = (entry: Entry | undefined): Entry | null => {
    if (entry === undefined) return null;
    if (clock.monotonicMs() < entry.endsAtMonotonicMs) return entry;
    remove(entry);
    return null;
  };
  return {
    create: (workload, lifetimeMs) => {
      // A walk over all of them for each new one would make many instances slow.
      if (byHash.size >= MAX_INSTANCES) for (const entry of byHash.values()) live(entry);
      if (byHash.size >= MAX_INSTANCES) throw new EgressError('overload', { detail: 'too many instances' });
      const token = `${TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
      const instance: Instance = {
        id: `i-${randomBytes(8).toString('hex')}`,
        workload,
        expiresAt: clock.now() + lifetimeMs,
      };
      const entry: Entry = {
        instance,
        tokenHash: tokenHash(token),
        endsAtMonotonicMs: clock.monotonicMs() + lifetimeMs,
      };
      byHash.set(entry.tokenHash, entry);
      byId.set(instance.id, entry);
      return { instance, token };
    },
    // Looking up by hash leaks no timing of the token: a guess does not steer its own hash.
    find: (token) => live(byHash.get(tokenHash(token)))?.instance ?? null,
    findByHash: (hash) => {
      const entry = live(byHash.get(hash));
      return entry === null
        ? null
        : { instance: entry.instance, remainingMs: entry.endsAtMonotonicMs - clock.monotonicMs() };
    },
    isAlive: (id) => live(byId.get(id)) !== null,
    end: (id) => {
      const entry = byId.get(id);
      if (entry !== undefined) remove(entry);
      return entry !== undefined;
    },
    list: () => [...byId.values()].flatMap((entry) => live(entry)?.instance ?? []),
  };
}

interface Entry {
  readonly instance: Instance;
  readonly tokenHash: string;
  readonly endsAtMonotonicMs: number;
}

/** SHA-256, base64. */
const tokenHash = (token: string): string => createHash('sha256').update(token).digest('base64');
