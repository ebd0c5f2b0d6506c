/**
 * Duty: where a destination can be dialled.
 * In → Out: Authority → checked addresses in the order of dialling.
 * Holds: every answer is parsed strictly and judged, only good ones are kept; one question at a time for each name;
 *   a name that the operator gave an address is never looked up, and that address counts as allowed for that name alone.
 * Fails: `dns_error`, `dns_timeout`, `destination_ip_prohibited`.
 * Source: RFC 1035, RFC 2308 §5 (negative answers).
 * Not here: the judgement of an address (`address-guard.ts`).
 */
import { promises as dns } from 'node:dns';
import type { Authority } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { formatIp, parseIp, unmapped } from '../core/ip-address.ts';
import { checkAddress } from './address-guard.ts';
import type { UpstreamOptions } from './options.ts';

/** What a resolver said: address texts, unjudged. */
export interface LookupAnswer {
  readonly addresses: readonly string[];
  /** How long it may be kept, in `ms`. */
  readonly ttlMs: number;
}

/** Rejects with an error whose `code` is that of node:dns. */
export type Lookup = (host: string) => Promise<LookupAnswer>;

/** A checked address and the port on the wire. */
export interface DialTarget {
  /** Canonical text; IPv4 where it came mapped into IPv6. */
  readonly address: string;
  readonly port: number;
}

export interface Resolver {
  /** Never empty. @throws EgressError */
  resolve(authority: Authority): Promise<readonly DialTarget[]>;
}

type ResolverOptions = Pick<UpstreamOptions, 'allowedNetworks' | 'resolve' | 'dnsTimeoutMs'>;

const MAX_ADDRESSES = 16;
const MAX_POSITIVE_MS = 30_000;
const NEGATIVE_MS = 5_000;
const MAX_CACHED_NAMES = 1_024;
/** Once one family answered, the other gets this long (RFC 8305 §3). */
const SECOND_FAMILY_MS = 50;

export function createResolver(options: ResolverOptions, parts: { clock: Clock; lookup?: Lookup }): Resolver {
  const cache = new LookupCache(parts.lookup ?? createLookup(options.dnsTimeoutMs), options.dnsTimeoutMs, parts.clock);
  const given = givenTargets(options);
  return {
    resolve: async (authority) => {
      const fixed = given.find(authority);
      if (fixed !== null) return fixed;
      const texts = authority.hostKind === 'name' ? await cache.lookup(authority.host) : [authority.host];
      return checkedTargets(texts, authority.port, options);
    },
  };
}

interface GivenTargets {
  find(authority: Authority): readonly DialTarget[] | null;
}

/** The exact name before every `*.suffix`, the longest of these first; a suffix covers the names below it, at any depth. */
function givenTargets(options: ResolverOptions): GivenTargets {
  const exact = new Map<string, DialTarget[]>();
  const below = new Map<string, DialTarget[]>();
  for (const { host, port, address, dialPort } of options.resolve) {
    const isSuffix = host.startsWith('*.');
    const key = `${isSuffix ? host.slice(1) : host} ${port}`;
    const table = isSuffix ? below : exact;
    table.set(key, [...(table.get(key) ?? []), { address: givenAddress(address, options), port: dialPort }]);
  }
  return {
    find: ({ host, hostKind, port }) => {
      const named = exact.get(`${host} ${port}`);
      if (named !== undefined || below.size === 0 || hostKind !== 'name') return named ?? null;
      for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
        const found = below.get(`${host.slice(dot)} ${port}`);
        if (found !== undefined) return found;
      }
      return null;
    },
  };
}

/** @throws EgressError `configuration_invalid`: not even the operator may send a request to link-local or metadata. */
function givenAddress(text: string, options: ResolverOptions): string {
  const bytes = parseIp(text);
  if (bytes === null) throw new EgressError('configuration_invalid', { detail: 'resolve: not an IP address' });
  const itself = { network: bytes, prefix: bytes.length * 8 };
  if (checkAddress(bytes, { allowedNetworks: [...options.allowedNetworks, itself] }) === 'prohibited') {
    throw new EgressError('configuration_invalid', { detail: 'resolve: an address that is never dialled' });
  }
  return formatIp(unmapped(bytes));
}

function checkedTargets(texts: readonly string[], port: number, options: ResolverOptions): readonly DialTarget[] {
  const targets: DialTarget[] = [];
  let refused = 0;
  for (const text of texts) {
    const bytes = parseIp(text);
    if (bytes === null || checkAddress(bytes, options) === 'prohibited') refused += 1;
    else if (targets.length < MAX_ADDRESSES) targets.push({ address: formatIp(unmapped(bytes)), port });
  }
  if (targets.length > 0) return targets;
  if (refused === 0) throw new EgressError('dns_error', { detail: 'the name has no address' });
  throw new EgressError('destination_ip_prohibited', { detail: 'every address is in a range that may not be dialled' });
}

type Outcome = { readonly addresses: readonly string[] } | { readonly error: EgressError };

class LookupCache {
  readonly #lookup: Lookup;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Outcome & { readonly until: number }>();
  readonly #running = new Map<string, Promise<readonly string[]>>();

  constructor(lookup: Lookup, timeoutMs: number, clock: Clock) {
    this.#lookup = lookup;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  async lookup(host: string): Promise<readonly string[]> {
    const kept = this.#kept.get(host);
    if (kept !== undefined && kept.until > this.#clock.monotonicMs()) {
      if ('error' in kept) throw kept.error;
      return kept.addresses;
    }
    let running = this.#running.get(host);
    if (running === undefined) {
      running = this.#ask(host).finally(() => this.#running.delete(host));
      this.#running.set(host, running);
    }
    return running;
  }

  async #ask(host: string): Promise<readonly string[]> {
    try {
      const answer = await within(this.#lookup(host), this.#timeoutMs);
      this.#keep(host, { addresses: answer.addresses }, Math.min(answer.ttlMs, MAX_POSITIVE_MS));
      return answer.addresses;
    } catch (thrown) {
      const error = thrown instanceof EgressError ? thrown : dnsError(thrown);
      if (isNameWithoutAddress(thrown)) this.#keep(host, { error }, NEGATIVE_MS);
      throw error;
    }
  }

  #keep(host: string, outcome: Outcome, forMs: number): void {
    this.#kept.delete(host);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_CACHED_NAMES && oldest !== undefined) this.#kept.delete(oldest);
    if (forMs > 0) this.#kept.set(host, { ...outcome, until: this.#clock.monotonicMs() + forMs });
  }
}

/** DNS alone: no hosts file, no search domains, nothing that a local user can bend. */
function createLookup(timeoutMs: number): Lookup {
  const resolver = new dns.Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 2)), tries: 2 });
  return async (host) => {
    const v4 = resolver.resolve4(host, { ttl: true });
    const v6 = resolver.resolve6(host, { ttl: true });
    const settled = await bothOrSoon([v4, v6]);
    const records = settled.flatMap((result) => (result?.status === 'fulfilled' ? result.value : []));
    if (records.length > 0) {
      return {
        addresses: records.map(({ address }) => address),
        ttlMs: 1_000 * Math.min(...records.map(({ ttl }) => ttl)),
      };
    }
    // A failure weighs more than the news that one family is empty.
    const reasons = settled.flatMap((result) => (result?.status === 'rejected' ? [result.reason] : []));
    throw reasons.find((reason) => !isNameWithoutAddress(reason)) ?? reasons[0];
  };
}

/** Results in the order given; null for one that was still out a moment after the other had brought something. */
async function bothOrSoon<T>(questions: readonly Promise<T>[]): Promise<(PromiseSettledResult<T> | null)[]> {
  const results: (PromiseSettledResult<T> | null)[] = questions.map(() => null);
  const all = questions.map(async (question, index) => {
    [results[index]] = (await Promise.allSettled([question])) as [PromiseSettledResult<T>];
  });
  const first = Promise.any(questions).then(() => sleep(SECOND_FAMILY_MS));
  await Promise.race([Promise.all(all), first.catch(() => Promise.all(all))]);
  return results;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

async function within<T>(pending: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new EgressError('dns_timeout')), timeoutMs);
  });
  try {
    return await Promise.race([pending, late]);
  } finally {
    clearTimeout(timer);
  }
}

function dnsError(thrown: unknown): EgressError {
  const code = codeOf(thrown);
  if (code === 'ETIMEOUT') return new EgressError('dns_timeout', { cause: thrown });
  return new EgressError('dns_error', { detail: RCODES.get(code) ?? 'the resolver failed', cause: thrown });
}

const RCODES: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'NXDOMAIN'],
  ['ENODATA', 'NODATA'],
  ['ESERVFAIL', 'SERVFAIL'],
  ['EREFUSED', 'REFUSED'],
]);

const isNameWithoutAddress = (thrown: unknown): boolean => ['ENOTFOUND', 'ENODATA'].includes(codeOf(thrown));

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}
