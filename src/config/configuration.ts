/**
 * Duty: all that the policy files say, as each stage wants to have it.
 * Holds: frozen to its leaves; every name is qualified and every reference resolves; paths are absolute.
 * Not here: the spelling in YAML (shapes.ts, proxy-shape.ts); how one becomes the other (compile-*.ts).
 */
import type { AuditOptions } from '../audit/options.ts';
import type { Host } from '../core/authority.ts';
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { DeliveryOptions } from '../delivery/options.ts';
import type { LimitsOptions, UnixListenOptions } from '../listener/options.ts';
import type { PolicyRevision } from '../policy/options.ts';
import type { SandboxOptions } from '../sandbox/options.ts';
import type { UpstreamOptions } from '../upstream/options.ts';
import type {
  AttestationOptions,
  InstanceOptions,
  IssuerOptions,
  WorkloadIdentityOptions,
} from '../workload/options.ts';

export interface Configuration {
  readonly proxy: ProxyOptions;
  /** Those that this proxy may grant; an identity scoped to another one is left out. */
  readonly identities: readonly WorkloadIdentityOptions[];
  readonly sources: readonly CredentialSourceOptions[];
  readonly policy: PolicyRevision;
  /** Credentials that a workload itself is given. */
  readonly deliveries: readonly DeliveryOptions[];
  /** In the order of the files. */
  readonly warnings: readonly ConfigurationWarning[];
  /** Files, folders and sockets that the documents name, sorted; those that are handed to workloads are not among them. */
  readonly namedPaths: readonly string[];
  /** Ids of the rules with `mintsCredentials: true`. */
  readonly mintingRules: readonly string[];
}

/** The Proxy document. */
export interface ProxyOptions {
  readonly trustDomain: string;
  /** `metadata.name`; what a WorkloadIdentity's scope is compared with. */
  readonly name: string;
  readonly mode: 'enforce';
  readonly stateDirectory: string;
  /** Processes that carry the traffic; 1: the proxy's own. */
  readonly workers: number;
  /** Null: there is none. */
  readonly listeners: {
    readonly explicit: ListenOptions;
    readonly tls: TlsListenOptions | null;
    readonly unix: UnixListenOptions | null;
    readonly gateway: GatewayListenOptions | null;
    readonly transparent: TransparentListenOptions | null;
  };
  readonly admin: { readonly socket: string };
  readonly issuer: IssuerOptions;
  readonly attestation: AttestationOptions;
  readonly issuingCA: {
    readonly directory: string;
    /** What agents read of it; may be a volume that they share. */
    readonly bundleDirectory: string;
  };
  readonly audit: AuditOptions;
  readonly log: { readonly level: LogLevel };
  readonly upstream: UpstreamOptions;
  readonly limits: LimitsOptions;
  readonly instances: InstanceOptions;
  /** What becomes of traffic that no Service names. */
  readonly unmatched: 'deny' | 'tunnel';
  /** Null: no sandbox. */
  readonly sandbox: SandboxOptions | null;
}

export interface ListenOptions {
  /** An IP address. */
  readonly address: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface TlsListenOptions extends ListenOptions {
  /** What its certificates name, one each; not empty. */
  readonly names: readonly Host[];
  readonly certificate: 'issuingCA' | 'svid';
}

export interface TransparentListenOptions extends ListenOptions {
  /** TPROXY brings connections here, for which any address is its own. */
  readonly isAnyAddress: boolean;
}

export interface GatewayListenOptions extends ListenOptions {
  /** What clients call it, beside its address and localhost. */
  readonly names: readonly Host[];
  /** Null: plain http, on loopback alone. */
  readonly tls: 'issuingCA' | { readonly certificateFile: string; readonly keyFile: string } | null;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Something that loads, and that somebody should look at. */
export interface ConfigurationWarning {
  readonly file: string;
  /** Counts from 1, as `column` does. */
  readonly line: number;
  readonly column: number;
  /** `spec.selectors[0]` */
  readonly path: string;
  readonly message: string;
}
