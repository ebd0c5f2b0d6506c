/**
 * Duty: what every source of credentials does for the lease cache.
 * Holds: a source keeps nothing of a grant; the cache owns its parts and destroys them.
 * Not here: how long a grant is used, shared and replaced (lease-cache.ts).
 */
import type { EgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Workload } from '../workload/workload.ts';
import type { CredentialPart } from './credential.ts';

export interface CredentialSource {
  readonly name: string;
  /** A new credential for the workload, obtained as the workload. @throws EgressError `credential_*`. */
  fetch(workload: Workload, signal: AbortSignal): Promise<Grant>;
  /** Ends what it watches; grants can still be revoked. */
  close?(): void;
}

/** What a source did by itself, for the log. */
export interface SourceEvent {
  readonly source: string;
  readonly kind:
    | 'accounts_swept'
    | 'sweep_failed'
    | 'admin_key_rotated'
    | 'admin_key_rotation_failed'
    | 'refresh_token_not_stored';
  /** Of what was swept; 0 for everything else. */
  readonly count: number;
  readonly error: EgressError | null;
}

/** What a source handed out, once. */
export interface Grant {
  /** The receiver destroys them. */
  readonly parts: ReadonlyMap<CredentialPart, Secret>;
  /** Null where the source makes no leases. */
  readonly leaseId: string | null;
  /** Accessor of the token that owns the lease; null where there is none. */
  readonly accessor: string | null;
  /** The earliest moment at which any part of it may end. */
  readonly expiresAtMonotonicMs: number;
  readonly renewable: boolean;
  /** Extends it where it can; resolves with the new end. */
  renew?(signal: AbortSignal): Promise<number>;
  /** Ends it at the source. At most one call; after it nothing else is called. */
  revoke(signal: AbortSignal): Promise<void>;
}

/** Zeroes what a grant carries. */
export function destroyParts(grant: Grant): void {
  for (const part of grant.parts.values()) part.destroy();
}
