/** Options of hop 5: `CredentialSource` documents, validated. */

/** How to log in at Vault; a mount is without `auth/` and slashes. All but `jwt` and `forwarded` log in as the proxy, whoever calls. */
export type VaultLoginOptions =
  | {
      /** With a token that the proxy mints for the workload. */
      readonly kind: 'jwt';
      readonly mount: string;
      readonly role: TemplateText;
      readonly audience: readonly string[];
    }
  | {
      /** With the token by which the workload identified itself. */
      readonly kind: 'forwarded';
      readonly mount: string;
      readonly role: TemplateText;
    }
  | {
      /** With the service account of the proxy's pod. */
      readonly kind: 'kubernetes';
      readonly mount: string;
      readonly role: TemplateText;
      readonly tokenFile: string;
    }
  | {
      readonly kind: 'approle';
      readonly mount: string;
      readonly roleId: string;
      /** Null: the role asks for none. */
      readonly secretId: KeptSecret | null;
      /** The secret is the token that wraps the secret id, which was made at this path; null: it is the secret id. */
      readonly wrappedAt: string | null;
    }
  | {
      /** With the client certificate of the connection. */
      readonly kind: 'cert';
      readonly mount: string;
      /** Null: Vault tries all. */
      readonly role: TemplateText | null;
    }
  | {
      /** With a token that somebody else obtains and renews, an agent for instance. */
      readonly kind: 'tokenFile';
      readonly file: KeptSecret;
    };

/** PEM files; read anew when they change. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Of the key: mode 0440 will do, the group is the proxy's own. */
  readonly isGroupReadable: boolean;
}

/** Name that the proxy itself has as a workload; no WorkloadIdentity may have it. */
export const JANITOR_NAME = 'countersign/janitor';

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
  /** Shown to Vault at the TLS handshake; absent: none. */
  readonly clientCertificate?: CertificateFiles;
  /** Other origins of the same Vault that `address` may redirect to; absent: none. */
  readonly redirects?: readonly string[];
  readonly auth: VaultLoginOptions;
  /** Path below `/v1/`, without leading slash. */
  readonly path: TemplateText;
  readonly method: 'GET' | 'POST';
  /** Query (GET) or body (POST) parameters. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Part of the credential → field of the engine's data. Null: by the engine's shape. */
  readonly fields: Readonly<Record<string, string>> | null;
  /** How the proxy itself logs in to revoke what a crash has left behind; absent: nobody does. */
  readonly revocation?: VaultLoginOptions;
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

/** What the sources have in common that call a provider's API. */
export interface ProviderEndpoint {
  /** `https://host/path`, without final slash. */
  readonly baseUrl: string;
  /** PEM file with the roots for it; null: the public ones. */
  readonly caFile: string | null;
}

export interface OpenaiAdminSourceOptions extends ProviderEndpoint {
  readonly kind: 'openaiAdmin';
  readonly name: string;
  readonly project: string;
  /** For `OpenAI-Organization`; null: the admin key's own. */
  readonly organization: string | null;
  readonly adminKey: {
    /** First line the key; second line its id, which rotation needs. */
    readonly path: string;
    /** Mode 0440 will do: the group is the proxy's own. */
    readonly isGroupReadable: boolean;
    /** Age at which it is replaced; null: never. */
    readonly rotateEveryMs: number | null;
  };
  /** Begin of the name of each service account. */
  readonly accountName: TemplateText;
  /** Marks the accounts that proxies with the same mark may clear away. */
  readonly owner: string;
  readonly ttlMs: number;
}

export interface AwsWebIdentitySourceOptions extends ProviderEndpoint {
  readonly kind: 'awsWebIdentity';
  readonly name: string;
  readonly roleArn: string;
  readonly sessionName: TemplateText;
  readonly durationMs: number;
  /** JSON; null: none. */
  readonly policy: string | null;
  readonly policyArns: readonly string[];
  /** Session tags, as a claim of the workload token; null: no claim. */
  readonly tags: Readonly<Record<string, TemplateText>> | null;
  readonly audience: readonly string[];
}

export interface GcpWorkloadIdentitySourceOptions extends ProviderEndpoint {
  readonly kind: 'gcpWorkloadIdentity';
  readonly name: string;
  /** `//iam.googleapis.com/projects/…/providers/…` */
  readonly provider: string;
  /** `aud` of the workload token. */
  readonly audience: readonly string[];
  readonly scopes: readonly string[];
  /** Null: the federated token itself is the credential. */
  readonly impersonation: {
    readonly serviceAccount: string;
    readonly lifetimeMs: number;
    /** Of the service account credentials API. */
    readonly baseUrl: string;
  } | null;
}

export interface AzureFederatedSourceOptions extends ProviderEndpoint {
  readonly kind: 'azureFederated';
  readonly name: string;
  readonly tenant: string;
  readonly clientId: string;
  readonly scope: string;
  readonly audience: readonly string[];
}

export interface ExecSourceOptions {
  readonly kind: 'exec';
  readonly name: string;
  /** Absolute path of the program, and its arguments. */
  readonly command: readonly [string, ...TemplateText[]];
  /** All that it gets of an environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Part → member of what it prints. Null: by the names. */
  readonly fields: Fields | null;
}

export interface KeyringSourceOptions {
  readonly kind: 'keyring';
  readonly name: string;
  readonly service: string;
  readonly account: string;
  /** Address of the session bus (Linux); null: the user's own. */
  readonly busAddress: string | null;
}

/** A secret that the user keeps for a source. */
export type KeptSecret =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** Mode 0440 will do: the group is the proxy's own. */
      readonly isGroupReadable: boolean;
    }
  | {
      readonly kind: 'variable';
      /** Of the environment. */
      readonly name: string;
    };

export interface OAuth2SourceOptions extends ProviderEndpoint {
  readonly kind: 'oauth2';
  readonly name: string;
  /** Behind `baseUrl`, which is the token endpoint: `/` where it has no path of its own. */
  readonly path: '' | '/';
  readonly clientId: string;
  readonly auth:
    | { readonly kind: 'none' }
    | { readonly kind: 'clientSecret'; readonly secret: KeptSecret; readonly method: 'basic' | 'post' }
    | {
        readonly kind: 'privateKeyJwt';
        /** PEM. */
        readonly path: string;
        readonly isGroupReadable: boolean;
        /** Null: by the kind of key. */
        readonly alg: string | null;
        readonly kid: string | null;
        readonly audience: string;
      };
  readonly grant:
    | { readonly kind: 'clientCredentials' }
    | { readonly kind: 'refreshToken'; readonly token: KeptSecret }
    | {
        readonly kind: 'tokenExchange';
        /** `aud` of the workload token. */
        readonly subjectAudience: readonly string[];
      };
  readonly scope: readonly string[];
  readonly audience: string | null;
  readonly resource: string | null;
}

/** By `kind`, the key below `spec` that the document has. */
export type CredentialSourceOptions =
  | VaultSourceOptions
  | FileSourceOptions
  | EnvSourceOptions
  | OpenaiAdminSourceOptions
  | AwsWebIdentitySourceOptions
  | GcpWorkloadIdentitySourceOptions
  | AzureFederatedSourceOptions
  | ExecSourceOptions
  | KeyringSourceOptions
  | OAuth2SourceOptions;
