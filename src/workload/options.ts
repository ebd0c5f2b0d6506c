/** Options of hop 3: `WorkloadIdentity` documents, the sources of evidence and the issuer, validated. */

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

export type SigningAlgorithm = 'ES256' | 'RS256';

export interface IssuerOptions {
  /** `iss` of workload tokens and base of the discovery document; null: derived from where the endpoint listens. */
  readonly url: string | null;
  readonly listen: { readonly address: string; readonly port: number };
  /** Lifetime of a workload token. */
  readonly tokenLifetimeMs: number;
  /** How long a key signs before the next one does. */
  readonly keyLifetimeMs: number;
  /** Of the keys that are made from now on; those in transit have their own. */
  readonly algorithm: SigningAlgorithm;
  /** Null: keys of our own, in the state folder. */
  readonly transit: TransitOptions | null;
  /** Null: plain http. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null;
}

/** Sources of evidence beyond this host's kernel; null: there is none. Read at the start; a reload does not change them. */
export interface AttestationOptions {
  readonly docker: DockerOptions | null;
  readonly kubernetes: KubernetesOptions | null;
  readonly jwt: readonly JwtIssuerOptions[];
  readonly kubernetesTokens: KubernetesTokenOptions | null;
  readonly spiffe: SpiffeOptions | null;
}

export const NO_ATTESTATION: AttestationOptions = Object.freeze({
  docker: null,
  kubernetes: null,
  jwt: [],
  kubernetesTokens: null,
  spiffe: null,
});

/** Of tokens; all asymmetric: what verifies cannot sign. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

export type Algorithm = (typeof ALGORITHMS)[number];

export interface JwtIssuerOptions {
  /** `iss`, exactly. */
  readonly issuer: string;
  /** A token must be for one of them. */
  readonly audience: readonly string[];
  readonly keys: KeyLocation;
  readonly algorithms: readonly Algorithm[];
  readonly clockSkewMs: number;
  /** Null: as long as the issuer says. */
  readonly maxLifetimeMs: number | null;
}

/** `caFile`: PEM roots; null: the public ones. */
export type KeyLocation =
  | { readonly kind: 'discovery'; readonly at: string; readonly caFile: string | null }
  | { readonly kind: 'uri'; readonly uri: string; readonly caFile: string | null }
  | { readonly kind: 'file'; readonly path: string };

export interface KubernetesTokenOptions {
  readonly audience: readonly string[];
  readonly by:
    | { readonly kind: 'keys'; readonly issuer: string; readonly keys: KeyLocation; readonly tokenFile: string | null }
    | { readonly kind: 'review'; readonly server: string; readonly caFile: string; readonly tokenFile: string };
}

export interface SpiffeOptions {
  /** Of JWT-SVIDs; empty: none is taken. */
  readonly audience: readonly string[];
  readonly trustDomains: readonly { readonly name: string; readonly bundleFile: string }[];
  /** Path of the Workload API's socket; null: files alone. */
  readonly workloadApiSocket: string | null;
}

export interface DockerOptions {
  /** Path of the engine's Unix socket. */
  readonly socket: string;
}

export interface KubernetesOptions {
  /** Origin: `https://kubernetes.default.svc`. */
  readonly apiServer: string;
  /** PEM roots of the API server. */
  readonly caFile: string;
  /** The proxy's own service-account token. */
  readonly tokenFile: string;
  /** Null: pods of every node. */
  readonly nodeName: string | null;
  /** Null: pods of every namespace. */
  readonly namespace: string | null;
  readonly podAddress: PodAddress;
}

/** Whether a pod is known by the address that a connection comes from: never; beside the token of its service account; always. */
export type PodAddress = 'ignored' | 'beside-token' | 'trusted';

/** A key in Vault transit. */
export interface TransitOptions {
  /** Origin without path. */
  readonly address: string;
  readonly namespace: string | null;
  /** PEM roots for `address`; null: the system's. */
  readonly caFile: string | null;
  /** Without outer slashes: `transit`. */
  readonly mount: string;
  readonly key: string;
  /** Holds a Vault token; read anew for each call, so that somebody else may renew it. */
  readonly tokenFile: string;
}
