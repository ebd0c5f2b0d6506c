/** Something that happened to a lease, for the log and the metrics. */
import type { ErrorCode } from '../core/errors.ts';

export interface LeaseEvent {
  /** `invalidated`: the upstream said that it has expired. */
  readonly kind: 'obtained' | 'renewed' | 'failed' | 'expired' | 'invalidated' | 'revoked' | 'revoke_failed';
  readonly workload: string;
  readonly binding: string;
  readonly source: string;
  readonly code: ErrorCode | null;
}
