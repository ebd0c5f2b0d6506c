/** The proxy of the network that this one stands in. */
export interface CorporateProxyOptions {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  /** Null: 3128, 443. */
  readonly port: number | null;
  /** Roots for an https proxy; null: the bundled ones. */
  readonly caPem: string | null;
  readonly login: {
    readonly username: string;
    /** Mode 0440 will do where `isGroupReadable`: the group is the proxy's own. */
    readonly password: { readonly path: string; readonly isGroupReadable: boolean };
  } | null;
  /** Destinations that are dialled straight. */
  readonly except: {
    /** Names, or `*.suffix`. */
    readonly hosts: readonly string[];
    readonly networks: UpstreamOptions['allowedNetworks'];
  };
}

/** Options of hop 7. */
export interface UpstreamOptions {
  /** Null: destinations are dialled straight. */
  readonly proxy?: CorporateProxyOptions | null;
  /** Special-purpose ranges that may be dialled nevertheless; link-local and metadata addresses never. */
  readonly allowedNetworks: readonly { readonly network: Uint8Array; readonly prefix: number }[];
  /** Names, or `*.suffix`, with given addresses: no resolver is asked. `dialPort` replaces the port on the wire only. */
  readonly resolve: readonly {
    readonly host: string;
    readonly port: number;
    readonly address: string;
    readonly dialPort: number;
  }[];
  /** PEM roots beside (not instead of) the bundled ones; the issuing CA is refused here. */
  readonly extraRoots: readonly string[];
  readonly connectTimeoutMs: number;
  readonly dnsTimeoutMs: number;
  readonly responseHeadTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxResponseHeadBytes: number;
  /** 1xx before the answer. */
  readonly maxInterimResponses: number;
  readonly maxRequestsPerConnection: number;
  readonly maxConnectionsPerWorkload: number;
}
