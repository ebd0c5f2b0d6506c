/**
 * Duty: what owner and worker say to each other.
 * Holds: names only where names are enough: the owner looks them up in its own configuration, so a worker can ask for nothing
 *   that the policy does not grant. No CA key, no Vault token, no token of an instance is ever said.
 */
import type { Configuration } from '../config/configuration.ts';
import type { Denial } from '../core/reasons.ts';
import type { LeaseFacts } from '../credential/credential.ts';
import type { Endpoint } from '../listener/connection.ts';
import type { UpstreamOptions } from '../upstream/options.ts';
import type { KnownInstance } from '../workload/instances.ts';
import type { Placeholders } from '../workload/workload.ts';

/** `→` asked or told by a worker, `←` by the owner. */
export const TOPIC = Object.freeze({
  /** ← ask `Charge` (structured clone); answered when the worker takes connections. */
  begin: 1,
  /** ← ask a revision (structured clone); answered when every new request is decided by it. */
  revision: 2,
  /** ← ask `DrainOrder`; answered when nothing is under way any more. */
  drain: 3,
  /** ← ask; answered with metrics as JSON. */
  metrics: 4,
  /** ← ask; answered at once, or the worker hangs. */
  alive: 5,
  /** ← tell an instance id: its tunnels end now. */
  instanceEnded: 6,
  /** ← tell the key of a lease that no new exchange may use. */
  leaseRetired: 7,
  /** → ask SHA-256 of a token, base64; answer `FoundInstance` or null. */
  instance: 8,
  /** → ask a workload's name; answer `Placeholders`. */
  placeholders: 9,
  /** → ask `LeafQuestion`; answer `LeafAnswer`. */
  leaf: 10,
  /** → ask `PermitNames`; answer `Admission`. */
  admit: 11,
  /** → tell the number of an admission that is over. */
  leave: 12,
  /** → ask `CredentialQuestion`; answer as in credential-body.ts. */
  credential: 13,
  /** → tell the key of a lease that this worker does not hold any more. */
  giveBack: 14,
  /** → ask audit lines; answered when they would survive the end of every process. */
  audit: 15,
  /** → tell audit lines of which none is an intent. */
  auditLater: 16,
  /** → tell: it ends by itself; another should take its place. */
  leaving: 17,
  /** ← tell an instance id: its time is over, its tunnels take no new request. */
  instanceExpired: 18,
  /** ← tell `InstanceExtension`. */
  instanceExtended: 19,
  /** → ask the key of a lease of which the upstream says that it has expired; answer whether another may be had. */
  invalidate: 20,
});

/** Everything that a worker is, apart from the code. */
export interface Charge {
  /** Of this worker, never given again. */
  readonly idPrefix: string;
  readonly endpoint: Endpoint;
  /** Of the TLS listener; null: there is none. */
  readonly tlsEndpoint: Endpoint | null;
  /** Of the gateway; null: there is none. */
  readonly gatewayEndpoint: Endpoint | null;
  /** Of the listener for what is redirected; null: there is none. */
  readonly transparentEndpoint: Endpoint | null;
  readonly revision: WorkerRevision;
  readonly upstream: UpstreamOptions;
  /** Who the file of a password may belong to, beside root. */
  readonly ownUid: number;
  /** PEM certificate; the key stays with the owner. */
  readonly issuingCa: string;
}

/** What the owner loaded and validated, as one value: a worker reads no policy file, and nothing of credential sources. */
export type WorkerRevision = Pick<Configuration, 'proxy' | 'policy' | 'identities'>;

export interface DrainOrder {
  readonly deadlineMs: number;
}

export interface FoundInstance extends KnownInstance {
  readonly remainingMs: number;
  readonly placeholders: Placeholders;
}

export interface InstanceExtension {
  readonly id: string;
  /** From now on. */
  readonly remainingMs: number;
}

export interface LeafQuestion {
  readonly host: string;
  /** SPKI, DER, base64: the private key never leaves the worker. */
  readonly publicKey: string;
}

export interface LeafAnswer {
  readonly certificatePem: string;
  /** Epoch `ms`. */
  readonly endsAt: number;
}

/** A permit by its names. */
export interface PermitNames {
  readonly workload: string;
  readonly instance: string | null;
  readonly authority: string;
  readonly service: string;
  readonly binding: string | null;
  readonly rule: string;
}

/** A number to give back, a denial, or `stale`: the revision that decided is not the one of now. */
export type AdmissionAnswer = { readonly place: number } | { readonly denial: Denial } | { readonly isStale: true };

/** `held`: key of the lease that the worker has already; its bytes need not travel again. */
export interface CredentialQuestion extends PermitNames {
  readonly held: string | null;
}

export interface CredentialFacts {
  readonly source: string;
  readonly generation: number;
  readonly key: string;
  readonly lease: LeaseFacts;
}
