/**
 * Duty: the ways to put a credential on the wire, and what is known of a provider, as data.
 * Not here: the presets themselves (presets/), the values of a credential (credential/).
 */

export type InjectionOptions =
  | { readonly kind: 'bearer' }
  /** `format` holds `{}` once, where the key goes: `Token {}`. */
  | { readonly kind: 'header'; readonly name: string; readonly format: string }
  /** `username` null: taken from the credential's `username` field. */
  | { readonly kind: 'basic'; readonly username: string | null }
  /** Never empty; each name once. */
  | { readonly kind: 'headers'; readonly headers: readonly HeaderPart[] }
  | { readonly kind: 'query'; readonly name: string }
  /** `segment` holds `{}` once, where the key goes: `bot{}`. */
  | { readonly kind: 'path'; readonly segment: string }
  | { readonly kind: 'cookie'; readonly name: string }
  /** How the subprotocol begins; the key ends it. */
  | { readonly kind: 'subprotocol'; readonly prefix: string }
  /** Names of members and numbers of items, from the root of the body. */
  | { readonly kind: 'jsonField'; readonly pointer: readonly string[] }
  | { readonly kind: 'formField'; readonly name: string }
  | HmacOptions
  /** The certificate is the connection's; the request has nothing in it. */
  | { readonly kind: 'mtls' }
  | { readonly kind: 'placeholder'; readonly in: readonly Surface[] }
  | {
      readonly kind: 'sigv4';
      /** Credential-scope services, never empty: `['s3', 'sts']`. */
      readonly services: readonly string[];
      /** Credential-scope regions, never empty: `['us-east-1']`. */
      readonly regions: readonly string[];
      /** Requests that are signed in their query are signed again too. Otherwise they are refused. */
      readonly presigned?: boolean | undefined;
    };

/** Parts that are text. */
export type SecretPart = 'key' | 'username' | 'password' | 'accessKeyId' | 'secretAccessKey' | 'sessionToken';

export interface HeaderPart {
  readonly name: string;
  /** Holds `{}` once. */
  readonly format: string;
  /** Null: the key, or the password. */
  readonly part: SecretPart | null;
}

/** A signature of the request, made with a part of the credential. */
export interface HmacOptions {
  readonly kind: 'hmac';
  readonly algorithm: 'sha256' | 'sha512';
  readonly key: SecretPart | null;
  readonly sign: readonly HmacPiece[];
  readonly encoding: 'hex' | 'base64';
  /** `format` of a header holds `{}` once, and may hold `{timestamp}`. */
  readonly result:
    | { readonly in: 'header'; readonly name: string; readonly format: string }
    | { readonly in: 'query'; readonly name: string };
  /** Null: it is sent nowhere by itself. */
  readonly timestamp: { readonly in: 'header' | 'query'; readonly name: string } | null;
  readonly timestampUnit: 's' | 'ms';
  readonly headers: readonly HeaderPart[];
}

export type HmacPiece = { readonly text: string } | { readonly value: HmacValue };
export type HmacValue = 'timestamp' | 'method' | 'path' | 'query' | 'body' | 'bodySha256Hex';

/** Where the placeholder may stand. Header names in lower case. */
export type Surface = { readonly kind: 'header'; readonly name: string } | { readonly kind: 'query' | 'path' | 'body' };

/** What a preset cannot know of AWS is which services and regions a binding is for. */
export type PresetInjection = InjectionOptions | { readonly kind: 'sigv4' };

/** A place in a request where a provider accepts a credential. */
export type CredentialSlot =
  | { readonly in: 'header'; readonly name: string; readonly scheme: 'Bearer' | 'Basic' | 'token' | null }
  | { readonly in: 'query'; readonly name: string }
  | { readonly in: 'subprotocol'; readonly prefix: string };

/** A call whose response is itself a credential. */
export interface MintingCall {
  /** Null: every method. */
  readonly method: string | null;
  /** Path pattern as in a rule; null for AWS calls. */
  readonly path: string | null;
  /** AWS call as `service:Action`; null for REST paths. */
  readonly call: string | null;
}

export interface ProviderPreset {
  readonly name: string;
  /** Hosts that the provider serves, `*.` allowed: for `check`, and for `presets`. */
  readonly hosts: readonly string[];
  /** Every slot in which a credential can sit. The one that the workload used is used; all others are emptied. */
  readonly slots: readonly CredentialSlot[];
  /** Header fields that choose whose account is used, lower case: the credential's own counts. */
  readonly tenants?: readonly string[];
  /** The way where the workload used no slot. */
  readonly injection: PresetInjection;
  readonly minting: readonly MintingCall[];
  /** What a binding without any EgressPolicy allows: safe calls of this provider. */
  readonly safe: readonly {
    readonly methods: readonly string[];
    readonly path: string;
    /** Safe only as the opening of a WebSocket. */
    readonly upgrade?: 'websocket';
  }[];
  /** Statuses and body codes by which the provider says that a key has expired. */
  readonly expired: {
    readonly statuses: readonly number[];
    readonly codes: readonly string[];
    /** Codes by which it may say that a signature has the wrong time. */
    readonly skewed?: readonly string[];
  };
  /** Calls whose answer may go on for minutes: for `presets`, and for `check` where one of them opens a WebSocket. */
  readonly streams: readonly StreamingCall[];
  /** Variables by which its SDKs are told another base URL and a key, for those that call the gateway. */
  readonly baseUrls?: readonly BaseUrl[];
}

export interface BaseUrl {
  /** `OPENAI_BASE_URL` */
  readonly variable: string;
  /** What stands behind the address of the Service: empty, or `/v1`. */
  readonly path: string;
  /** `OPENAI_API_KEY`; absent: the SDKs take a pair, as AWS's. */
  readonly key?: string;
}

export interface StreamingCall {
  readonly method: string;
  readonly path: string;
  /** `events`: text/event-stream, or AWS's event stream; `chunks`: a body that grows. */
  readonly as: 'events' | 'chunks' | 'websocket';
}
