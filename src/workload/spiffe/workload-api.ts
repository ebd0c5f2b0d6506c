/**
 * Duty: SPIFFE's Workload API as the source of trust bundles and of the proxy's own certificate.
 * In → Out: path of its socket → what it last said, kept up to date by its streams.
 * Holds: a stream that ends is opened again, 1 s later at first and 30 s at most; what was said counts an hour longer, then
 *   nothing does; an answer that is not understood changes nothing.
 * Source: SPIFFE Workload API §3 to §6; the metadata `workload.spiffe.io: true` keeps others from being tricked into asking.
 * Not here: the transport (workload-api-streams.ts).
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import type { Clock, ScheduledTask } from '../../core/clock.ts';
import type { AttestationLog } from '../attestor.ts';
import { Outage } from '../outage.ts';
import type { KeySet } from '../tokens/key-set.ts';
import { certificatesIn, jwtKeysIn, type TrustBundle } from './trust-bundle.ts';
import type { BundleFeed } from './trust-bundles.ts';
import type { BundlesResponse, X509SvidResponse } from './workload-api-words.ts';

export type Method = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles';

/** Opens a stream; `onEnd` is called once, with what it ended by. */
export interface WorkloadApiStreams {
  follow(method: Method, onMessage: (message: unknown) => void, onEnd: (cause: string) => void): void;
  close(): void;
}

export interface OwnSvid {
  readonly spiffeId: string;
  /** Leaf first, PEM. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** Epoch `ms`. */
  readonly endsAt: number;
}

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
const MAX_STALE_MS = 60 * 60_000;

export class WorkloadApi implements BundleFeed {
  readonly #clock: Clock;
  readonly #streams: Promise<WorkloadApiStreams>;
  readonly #x509Bundles: Followed;
  readonly #jwtBundles: Followed;
  readonly #ownSvid: Followed;
  #authorities = new Map<string, readonly X509Certificate[]>();
  #jwtKeys = new Map<string, KeySet>();
  #svid: OwnSvid | null = null;

  constructor(streams: Promise<WorkloadApiStreams>, clock: Clock, log: AttestationLog) {
    this.#clock = clock;
    this.#streams = streams;
    const follow = (method: Method, take: (message: never) => void): Followed =>
      new Followed(
        method,
        streams,
        clock,
        new Outage(log, `Workload API, ${method}`),
        take as (message: unknown) => void,
      );
    this.#x509Bundles = follow('FetchX509Bundles', (message) => this.#takeAuthorities(message));
    this.#jwtBundles = follow('FetchJWTBundles', (message) => this.#takeJwtKeys(message));
    this.#ownSvid = follow('FetchX509SVID', (message) => this.#takeSvid(message));
  }

  bundles(): ReadonlyMap<string, TrustBundle> {
    const authorities = this.#x509Bundles.isStale() ? new Map<string, never>() : this.#authorities;
    const jwtKeys = this.#jwtBundles.isStale() ? new Map<string, never>() : this.#jwtKeys;
    return new Map(
      [...new Set([...authorities.keys(), ...jwtKeys.keys()])].map((domain) => [
        domain,
        { authorities: authorities.get(domain) ?? [], jwtKeys: jwtKeys.get(domain) ?? null },
      ]),
    );
  }

  /** Null: it has none, or none that is valid. */
  ownSvid(): OwnSvid | null {
    return this.#svid !== null && this.#clock.now() < this.#svid.endsAt ? this.#svid : null;
  }

  async close(): Promise<void> {
    for (const each of [this.#x509Bundles, this.#jwtBundles, this.#ownSvid]) each.close();
    await this.#streams.then(
      (streams) => streams.close(),
      () => {},
    );
  }

  /** What is not said any more is not trusted any more. */
  #takeAuthorities({ bundles = {} }: BundlesResponse): void {
    const domains = Object.entries(bundles).map(([domain, der]) => [domainOf(domain), certificatesIn(der)] as const);
    this.#authorities = new Map(domains.map(([domain, found]) => [domain, understood(found)]));
  }

  #takeJwtKeys({ bundles = {} }: BundlesResponse): void {
    const domains = Object.entries(bundles).map(
      ([domain, json]) => [domainOf(domain), jwtKeysIn(JSON.parse(json.toString('utf8')))] as const,
    );
    this.#jwtKeys = new Map(domains.map(([domain, found]) => [domain, understood(found)]));
  }

  /** The first is the default identity. */
  #takeSvid({ svids = [] }: X509SvidResponse): void {
    const [first] = svids;
    if (first === undefined) throw new Error('no identity');
    const chain = understood(certificatesIn(first.x509Svid));
    const leaf = understood(chain[0] ?? null);
    const key: KeyObject = createPrivateKey({ key: first.x509SvidKey, format: 'der', type: 'pkcs8' });
    if (!leaf.checkPrivateKey(key)) throw new Error('the key is of another certificate');
    this.#svid = {
      spiffeId: first.spiffeId,
      chainPem: chain.map(String).join(''),
      keyPem: key.export({ type: 'pkcs8', format: 'pem' }) as string,
      endsAt: Date.parse(leaf.validTo),
    };
  }
}

/** `spiffe://example.org` or the bare name. */
const domainOf = (name: string): string => name.replace(/^spiffe:\/\//, '').replace(/\/$/, '');

function understood<T>(value: T | null): T {
  if (value === null) throw new Error('not understood');
  return value;
}

/** One stream, opened again and again. */
class Followed {
  readonly #method: Method;
  readonly #streams: Promise<WorkloadApiStreams>;
  readonly #clock: Clock;
  readonly #outage: Outage;
  readonly #take: (message: unknown) => void;
  /** Monotonic `ms` since which nothing is heard; null: it is heard. */
  #silentSince: number | null;
  #retryMs = FIRST_RETRY_MS;
  #retry: ScheduledTask | null = null;
  #isClosed = false;

  constructor(
    method: Method,
    streams: Promise<WorkloadApiStreams>,
    clock: Clock,
    outage: Outage,
    take: (message: unknown) => void,
  ) {
    this.#method = method;
    this.#streams = streams;
    this.#clock = clock;
    this.#outage = outage;
    this.#take = take;
    this.#silentSince = clock.monotonicMs();
    void this.#open();
  }

  isStale(): boolean {
    return this.#silentSince !== null && this.#clock.monotonicMs() - this.#silentSince > MAX_STALE_MS;
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
  }

  async #open(): Promise<void> {
    try {
      const streams = await this.#streams;
      if (this.#isClosed) return;
      streams.follow(
        this.#method,
        (message) => this.#hear(message),
        (cause) => this.#lose(cause),
      );
    } catch {
      this.#lose('the client library cannot be loaded', 'npm install @grpc/grpc-js @grpc/proto-loader');
    }
  }

  #hear(message: unknown): void {
    try {
      this.#take(message);
    } catch {
      this.#outage.began('its answer is not understood, the last one stays');
      this.#silentSince ??= this.#clock.monotonicMs();
      return;
    }
    this.#silentSince = null;
    this.#retryMs = FIRST_RETRY_MS;
    this.#outage.over();
  }

  #lose(cause: string, hint: string | null = null): void {
    if (this.#isClosed) return;
    this.#silentSince ??= this.#clock.monotonicMs();
    this.#outage.began(cause, hint);
    this.#retry = this.#clock.schedule(this.#retryMs, () => void this.#open());
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }
}
