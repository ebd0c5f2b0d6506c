/**
 * Duty: what the admin API says of instances and of the proxy, as JSON has it; the words of the typed client and of the API alike.
 */

/** What an instance may ask at most, beside the policy of its workload. A key that is left out is no condition. */
export interface ScopeRule {
  /** Names of Services, `namespace/name` outside the default namespace. */
  readonly services?: readonly string[];
  /** Upper case. */
  readonly methods?: readonly string[];
  /** Path patterns: `/v1/models`, `/v1/files/**`. */
  readonly paths?: readonly string[];
}

export interface InstanceListing {
  /** `i-` and 16 hex digits. */
  readonly id: string;
  readonly workload: string;
  /** `spiffe://<trust domain>/<workload>/<id>`. Vault is shown the workload's own, without the id. */
  readonly spiffeId: string;
  readonly labels: Readonly<Record<string, string>>;
  /** One of the rules must match. Null: whatever the policy allows the workload. */
  readonly scope: readonly ScopeRule[] | null;
  /** Of the user of the proxy's host whose connections alone the token is good for. Null: anybody's. */
  readonly uid: number | null;
  /** Epoch `ms`, as `expiresAt`. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** `ms` from the answer to `expiresAt`, whatever the clocks say. */
  readonly remainingMs: number;
}

/** What an instance needs to call; the token is told once and never again. */
export interface InstanceAnswer extends InstanceListing {
  /** Secret: who has it is the instance. */
  readonly token: string;
  /** For `HTTPS_PROXY`; the token is in it. */
  readonly proxyUrl: string;
  /** PEM, the one root that the workload must trust beside its own. */
  readonly caCertificate: string;
  /** PEM file on the proxy's host: that root, the system's and the user's. */
  readonly bundleFile: string;
  /** The same roots for Java. */
  readonly javaTrustStore: string;
  /** Placeholders, worth nothing anywhere else. */
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
  /** For clients that are given a base URL in place of a proxy. Null: the proxy has no gateway. */
  readonly gateway: GatewayAnswer | null;
}

/** How an instance calls the gateway: `<url>/<Service>/<path>`, with one of these keys in place of the provider's. */
export interface GatewayAnswer {
  /** `http://127.0.0.1:10082` */
  readonly url: string;
  /** Secret, as the access key id: the token is in it. */
  readonly apiKey: string;
  /** Its secret access key is the one of the instance. */
  readonly awsAccessKeyId: string;
  /** Variables by which SDKs take a base URL and a key, for the Services that the policy gives the workload. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface InstancePage {
  readonly instances: readonly InstanceListing[];
  /** For `after` of the next page; null: there is none. */
  readonly next: string | null;
}

export interface Revocation {
  readonly id: string;
  /** Leases that were the instance's own and that Vault has taken back. */
  readonly leasesRevoked: number;
  /** Those that it could not; they end by themselves. */
  readonly leasesFailed: number;
}

export interface SourceRotation {
  readonly source: string;
  /** Leases with a new generation. */
  readonly replaced: number;
  /** Those that go on with what they had. */
  readonly failed: number;
}

export interface LeaseListing {
  readonly workload: string;
  /** Null: shared by all instances of the workload. */
  readonly instance: string | null;
  readonly binding: string;
  readonly source: string;
  /** Counts from 1. */
  readonly generation: number;
  /** Exchanges that hold it, or worker processes. */
  readonly inUse: number;
  /** `draining`: it serves those that hold it, and no new request. */
  readonly state: 'current' | 'draining';
  /** Since it was obtained, whatever the clocks say. */
  readonly ageMs: number;
  /** Until it ends, or 0. */
  readonly remainingMs: number;
  readonly lease: {
    /** First 24 characters of the lease id; null for sources without leases. */
    readonly idPrefix: string | null;
    /** Of the token that owns the lease. */
    readonly accessor: string | null;
    /** Epoch `ms`. */
    readonly expiresAt: number;
    readonly renewable: boolean;
  };
}

/**
 * `Idle`: nobody has asked, or not lately. `Pending`: on its way. `Ready`: a lease is there; with a reason where it could not be
 * replaced. `Failed`: none is there, and the reason says why.
 */
export type BindingState = 'Idle' | 'Pending' | 'Ready' | 'Failed';

/** One for each binding, and for each instance that used it with leases of its own. */
export interface BindingStatus {
  readonly binding: string;
  readonly workload: string;
  readonly spiffeId: string;
  /** Null for what is shared, or where there is none. */
  readonly instance: string | null;
  readonly way: 'injection' | 'file' | 'socket';
  readonly services: readonly string[];
  readonly source: string;
  readonly state: BindingState;
  readonly reason: { readonly code: string; readonly detail: string | null } | null;
  readonly generation: number | null;
  readonly lease: {
    /** First 24 characters of the lease id; null for sources without leases. */
    readonly idPrefix: string | null;
    /** Of the token that owns the lease. */
    readonly accessor: string | null;
    /** Epoch `ms`. */
    readonly expiresAt: number;
    readonly renewable: boolean;
  } | null;
  /** Of the file or the socket. */
  readonly path: string | null;
  /** Epoch `ms`; null where nothing has happened yet. */
  readonly changedAt: number | null;
}

export interface IssuerStatus {
  /** `iss`. */
  readonly url: string;
  /** `next` is published and does not sign yet, `former` does not sign any more; `since` is epoch `ms`. */
  readonly keys: readonly {
    readonly kid: string;
    readonly state: 'next' | 'current' | 'former';
    readonly since: number;
  }[];
}

export interface ProxyStatus {
  readonly ready: boolean;
  /** First 12 hex digits of the SHA-256 of the policy. */
  readonly revision: string;
  readonly proxyUrl: string;
  /** Null: no TLS listener. */
  readonly tlsProxyUrl: string | null;
  /** Null: no gateway. */
  readonly gatewayUrl: string | null;
  /** Of the proxy's host, what is the proxy's alone: its state, its socket, files that the policy names. */
  readonly ownPaths: readonly string[];
  /** How many instances there are, those in their grace included. */
  readonly instances: number;
  readonly workers: readonly { readonly number: number; readonly pid: number }[];
  readonly leases: readonly LeaseListing[];
  readonly issuer: IssuerStatus;
  /** Epoch `ms`: what the others are compared with. */
  readonly now: number;
  readonly bindings: readonly BindingStatus[];
}
