/** Options of deliveries: `propagation.file` of CredentialBinding documents, validated. */
export interface DeliveryOptions {
  readonly binding: string;
  readonly workload: string;
  readonly source: string;
  readonly services: readonly string[];
  readonly way: 'file';
  /** Absolute, without dot segments; null: for the proxy to choose. */
  readonly path: string | null;
  readonly format: DeliveryFormat;
  /** Who may read it. */
  readonly owner: { readonly uid: number } | { readonly user: string };
}

/** `json`: the source's own answer; `raw`: the key alone; `env`: `NAME=value` lines. */
export type DeliveryFormat = 'json' | 'raw' | 'env';
