/** Something that happened to a lease, for the log and the metrics. */
import type { ErrorCode } from '../core/errors.ts';
import type { LeaseFacts } from './credential.ts';

export interface LeaseEvent {
  /** `invalidated`: the upstream said that it has expired. */
  readonly kind: 'obtained' | 'renewed' | 'failed' | 'expired' | 'invalidated' | 'revoked' | 'revoke_failed';
  readonly workload: string;
  readonly instance: string | null;
  readonly binding: string;
  readonly source: string;
  /** Of `failed`. */
  readonly code: ErrorCode | null;
  /** Both null where it is about no lease that lives. */
  readonly generation: number | null;
  readonly lease: LeaseFacts | null;
}
