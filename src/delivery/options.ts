/** Options of deliveries: `propagation.file` and `.socket` of CredentialBinding documents, validated. */
export interface DeliveryOptions {
  readonly binding: string;
  readonly workload: string;
  readonly source: string;
  readonly services: readonly string[];
  readonly way: 'file' | 'socket';
  /** Absolute, without dot segments; null: for the proxy to choose. */
  readonly path: string | null;
  readonly format: DeliveryFormat;
  /** Who may read the file; null of a socket, where every reader is looked at. */
  readonly owner: { readonly uid: number } | { readonly user: string } | null;
}

/** `json`: the source's own answer; `raw`: the key alone; `env`: `NAME=value` lines. */
export type DeliveryFormat = 'json' | 'raw' | 'env';
