/**
 * Duty: what a policy revision is made of, validated and frozen.
 * Holds: names are qualified (`namespace/name`, or `name` in the default one); every reference resolves.
 * Not here: YAML (config/), matching (decide.ts).
 */
import type { Http2Use } from '../core/message.ts';
import type { InjectionOptions, MintingCall, ProviderPreset } from '../injection/options.ts';

export type ServiceAddress =
  | { readonly kind: 'host'; readonly host: string; readonly port: number }
  /** `*.example.com` → suffix `.example.com`: exactly the names below it, any depth. */
  | { readonly kind: 'wildcard'; readonly suffix: string; readonly port: number }
  | { readonly kind: 'cidr'; readonly network: Uint8Array; readonly prefix: number; readonly port: number };

export interface ServiceOptions {
  readonly name: string;
  readonly addresses: readonly ServiceAddress[];
  readonly preset: ProviderPreset | null;
  /** Absent: HTTP/2 only where the other side speaks nothing else. */
  readonly http2?: NonNullable<Http2Use>;
}

/**
 * Path patterns: literal segments, `*` for one whole segment, a final `**` for any rest.
 * `{ text, segments, rest }`, e.g. `/v1/files/**` → segments `['v1', 'files']`, rest true.
 */
export interface PathPattern {
  readonly text: string;
  readonly segments: readonly string[];
  readonly rest: boolean;
}

export interface RuleOptions {
  /** `<policy>/<index>`, e.g. `agents/0`. */
  readonly id: string;
  /** Service names; null: every service. */
  readonly services: readonly string[] | null;
  /** Methods; null: every method. */
  readonly methods: readonly string[] | null;
  /** null: every path. */
  readonly paths: readonly PathPattern[] | null;
  /** AWS calls as `service:Action`, `*` allowed for the action; null: every call. */
  readonly calls: readonly string[] | null;
  /** The rule is for requests that open a WebSocket. Absent: for all others, or, where it refuses, for all. */
  readonly upgrade?: 'websocket';
  readonly action: 'allow' | 'deny' | 'requireApproval';
  readonly mintsCredentials: boolean;
}

export interface EgressPolicyOptions {
  readonly name: string;
  readonly workloads: readonly string[];
  readonly rules: readonly RuleOptions[];
  readonly limits: PolicyLimits;
  readonly mask: readonly MaskOptions[];
}

export interface PolicyLimits {
  readonly requests: { readonly count: number; readonly perMs: number } | null;
  readonly concurrent: number | null;
}

/** JSON object members whose string values are replaced in responses. */
export interface MaskOptions {
  readonly jsonFields: readonly string[];
}

export interface BindingOptions {
  readonly name: string;
  readonly workload: string;
  /** Name of the credential source. */
  readonly source: string;
  readonly services: readonly string[];
  /** null: as the preset of the service says. */
  readonly injection: InjectionOptions | null;
  /** What tells it apart from another binding of the same workload and service; null where there is none. */
  readonly match: { readonly methods: readonly string[] | null; readonly paths: readonly PathPattern[] | null } | null;
  /** Each instance has a lease of its own. Absent: all instances of the workload share one. */
  readonly perInstance?: true;
}

/** What an instance may ask at most, beside the policy of its workload: one of the rules must match. Never empty. */
export type Scope = readonly ScopeRule[];

/** Null: no condition. */
export interface ScopeRule {
  readonly services: readonly string[] | null;
  readonly methods: readonly string[] | null;
  readonly paths: readonly PathPattern[] | null;
}

export interface PolicyRevision {
  /** First 12 hex digits of the SHA-256 of the documents. */
  readonly id: string;
  readonly services: readonly ServiceOptions[];
  readonly policies: readonly EgressPolicyOptions[];
  readonly bindings: readonly BindingOptions[];
}

export type { MintingCall };
