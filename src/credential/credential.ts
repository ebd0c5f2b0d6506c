import type { Secret } from '../core/secret.ts';
import type { Permit } from '../policy/permit.ts';
import type { Workload } from '../workload/workload.ts';
import type { SlotStanding } from './lease-slot.ts';

/** Parts by the names that injection/ asks for; `document` is the source's own answer whole, for deliveries alone. */
export type CredentialPart =
  | 'key'
  | 'username'
  | 'password'
  | 'accessKeyId'
  | 'secretAccessKey'
  | 'sessionToken'
  /** PEM, with its chain. */
  | 'certificate'
  /** PEM. */
  | 'privateKey'
  | 'document';

/** Hop 5: a live credential of one generation, held for one exchange. */
export interface Credential {
  readonly source: string;
  /** Counts from 1 for each lease of a binding, or of an instance where the binding is per instance; part of the upstream pool's key. */
  readonly generation: number;
  /** Identifies this lease of this workload across the process: pools and caches key on it. */
  readonly key: string;
  readonly parts: ReadonlyMap<CredentialPart, Secret>;
  readonly lease: LeaseFacts;
}

/** What may be shown of a lease. */
export interface LeaseFacts {
  /** First 24 characters of the lease id; null for sources without leases. */
  readonly idPrefix: string | null;
  /** Accessor of the token that owns the lease. */
  readonly accessor: string | null;
  /** Epoch `ms`: the earlier of lease and token. */
  readonly expiresAt: number;
  readonly renewable: boolean;
}

/** Hop 5 as the spine uses it. */
export interface CredentialStage {
  /**
   * The credential of the permit's binding; null where the permit has none. Single-flight for each lease, which is the
   * instance's own or shared by all instances of the workload, as the binding says.
   * @throws EgressError `credential_*`, never later than 5 s after the call.
   */
  obtain(permit: Permit, signal: AbortSignal): Promise<Credential | null>;
  /** One in-flight use less. Every credential that `obtain` gave is released once. */
  release(credential: Credential): void;
  /** The upstream says that it has expired: no new exchange gets it. True where `obtain` may give another from now on. */
  invalidate(credential: Credential): boolean;
  /**
   * A credential that the workload itself is given, on a lease that no request uses. Released as any other.
   * @throws EgressError `credential_*`.
   */
  deliver(order: DeliveryOrder, signal: AbortSignal): Promise<Credential>;
  /** Ends the lease of a delivery, and revokes it. */
  endDelivery(order: DeliveryOrder): Promise<void>;
  /** Ends the leases that are one instance's own; resolves when the sources were told. */
  revokeInstance(instance: string): Promise<{ revoked: number; failed: number }>;
  /** No instance of the workload is left: what they shared ends with the exchanges that use it. */
  retireShared(workload: string): void;
  /** A new generation of every lease of the source, obtained before the old one is given up. */
  rotate(source: string): Promise<Rotation>;
  /** Revokes every lease, within `deadlineMs`; returns how many were revoked and how many were not. */
  close(deadlineMs: number): Promise<{ revoked: number; failed: number }>;
  /** For `status`, metrics and the admin API. */
  list(): readonly LeaseListing[];
  /** One for each (workload, instance, binding) that asked lately. */
  standings(): readonly BindingStanding[];
}

export interface DeliveryOrder {
  readonly workload: Workload;
  readonly binding: string;
  readonly source: string;
  /** `document`: the source's answer as it was sent, in place of its parts. */
  readonly form: 'parts' | 'document';
  readonly way: 'file' | 'socket';
}

export interface Rotation {
  readonly replaced: number;
  /** These still give out what they had, as long as it lasts. */
  readonly failed: number;
}

export interface LeaseListing {
  readonly workload: string;
  /** Null: shared by all instances of the workload. */
  readonly instance: string | null;
  readonly binding: string;
  readonly source: string;
  readonly generation: number;
  readonly inUse: number;
  /** `draining`: given to no new exchange. */
  readonly state: 'current' | 'draining';
  /** Both by the monotonic clock. */
  readonly ageMs: number;
  readonly remainingMs: number;
  readonly lease: LeaseFacts;
}

export interface BindingStanding extends SlotStanding {
  readonly workload: string;
  readonly instance: string | null;
  readonly binding: string;
  readonly way: 'injection' | DeliveryOrder['way'];
  readonly source: string;
}
