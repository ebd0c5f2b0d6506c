/** Options of hop 7. */
export interface UpstreamOptions {
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
