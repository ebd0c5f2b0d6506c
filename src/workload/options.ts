/** Options of hop 3: `WorkloadIdentity` documents and the issuer, validated. */

/** All keys of one selector set must match; for one key any of its values. `unix:uid` → `['1001']`. */
export interface SelectorOptions {
  readonly key: SelectorKey;
  readonly values: readonly string[];
}

export type SelectorKey =
  | 'process:name'
  | 'process:exe'
  | 'process:sha256'
  | 'process:arg'
  | 'unix:uid'
  | 'unix:gid'
  | 'unix:user'
  | 'unix:group'
  | 'cgroup:path'
  | 'net:source'
  // Some of a family have a parameter: `k8s:pod-label:app`.
  | `${'docker' | 'k8s' | 'token' | 'spiffe'}:${string}`;

export interface WorkloadIdentityOptions {
  /** Name of the document, qualified by its namespace. */
  readonly name: string;
  readonly workload: string;
  /** Empty: by instance token only. */
  readonly selectors: readonly SelectorOptions[];
}

export interface InstanceOptions {
  /** Where who creates one does not say. */
  readonly defaultTtlMs: number;
  /** From creation to end, extensions included. */
  readonly maxTtlMs: number;
  /** After the end: no new request, what is under way goes on. */
  readonly graceMs: number;
}

export interface IssuerOptions {
  /** `iss` of workload tokens and base of the discovery document; null: derived from where the endpoint listens. */
  readonly url: string | null;
  readonly listen: { readonly address: string; readonly port: number };
  /** Lifetime of a workload token. */
  readonly tokenLifetimeMs: number;
}
