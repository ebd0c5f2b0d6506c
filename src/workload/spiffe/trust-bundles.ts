/**
 * Duty: the roots of every trust domain that is known here, as they are now.
 * In → Out: trust domain → TrustBundle, or null.
 * Holds: each domain has its own roots, and they vouch for no other; a file that was configured wins over the Workload API.
 */
import type { SpiffeOptions } from '../options.ts';
import { WatchedFile } from '../tokens/watched-file.ts';
import { parseBundle, type TrustBundle } from './trust-bundle.ts';

/** What somebody tells about bundles while the proxy runs. */
export interface BundleFeed {
  bundles(): ReadonlyMap<string, TrustBundle>;
}

export class TrustBundles {
  readonly #files: ReadonlyMap<string, WatchedFile<TrustBundle | null>>;
  readonly #feed: BundleFeed | null;

  constructor({ trustDomains }: Pick<SpiffeOptions, 'trustDomains'>, feed: BundleFeed | null) {
    this.#files = new Map(trustDomains.map(({ name, bundleFile }) => [name, new WatchedFile(bundleFile, parseBundle)]));
    this.#feed = feed;
  }

  bundleOf(trustDomain: string): TrustBundle | null {
    const file = this.#files.get(trustDomain);
    return file === undefined ? (this.#feed?.bundles().get(trustDomain) ?? null) : file.current();
  }

  /** Of all domains: for a handshake that does not know yet who calls. */
  authorities(): string[] {
    const told = this.#feed === null ? [] : [...this.#feed.bundles().keys()];
    const domains = new Set([...this.#files.keys(), ...told]);
    return [...domains].flatMap((domain) => this.bundleOf(domain)?.authorities.map(String) ?? []);
  }
}
