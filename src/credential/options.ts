/** Options of hop 5: `CredentialSource` documents, validated. */

export interface VaultAuthOptions {
  readonly kind: 'jwt';
  /** Mount without `auth/` and slashes: `jwt`. */
  readonly mount: string;
  readonly role: TemplateText;
  readonly audience: readonly string[];
}

/** Text that may hold `{{workload.id}}`, `{{workload.spiffeId}}`, `{{workload.instance}}`. */
export type TemplateText = string;

export interface VaultSourceOptions {
  readonly kind: 'vault';
  readonly name: string;
  /** Origin without path, `https://vault:8200`; `sandbox` stands for the embedded one. */
  readonly address: string;
  readonly namespace: string | null;
  /** PEM file with the roots for `address`; null: the system's. */
  readonly caFile: string | null;
  readonly auth: VaultAuthOptions;
  /** Path below `/v1/`, without leading slash. */
  readonly path: TemplateText;
  readonly method: 'GET' | 'POST';
  /** Query (GET) or body (POST) parameters. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Part of the credential → field of the engine's data. Null: by the engine's shape. */
  readonly fields: Readonly<Record<string, string>> | null;
}

/** Part of the credential → name of the field. */
export type Fields = Readonly<Record<string, string>>;

export interface FileSourceOptions {
  readonly kind: 'file';
  readonly name: string;
  readonly path: string;
  /** `raw`: the whole file is the key. */
  readonly format: 'raw' | 'json' | 'env';
  /** Null: by the shape. */
  readonly fields: Fields | null;
  /** Mode 0440 will do: the group is the proxy's own. */
  readonly isGroupReadable: boolean;
}

export interface EnvSourceOptions {
  readonly kind: 'env';
  readonly name: string;
  /** Part → environment variable. */
  readonly fields: Fields;
}

/** By `kind`, the key below `spec` that the document has. */
export type CredentialSourceOptions = VaultSourceOptions | FileSourceOptions | EnvSourceOptions;
