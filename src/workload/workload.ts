import type { Secret } from '../core/secret.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Scope } from '../policy/options.ts';

/** Hop 3: who is calling. Made only by an attestor; never guessed. */
export interface Workload {
  /** `workloadID` of its WorkloadIdentity, qualified `namespace/name` where it has a namespace. */
  readonly name: string;
  readonly spiffeId: SpiffeId;
  /** Instance that `run` or the admin API created; null where the kernel's evidence alone identified it. */
  readonly instance: string | null;
  /** What the instance may ask at most. Absent: whatever the policy allows the workload. */
  readonly scope?: Scope;
  readonly placeholders: Placeholders;
  /** What was believed, for audit: `token`, `unix:uid=1001`, `process:name=python3`. */
  readonly evidence: readonly string[];
  /** The token of its own by which it identified itself, for sources that pass it on, destroyed when it ends; absent where it sent none. */
  readonly presented?: Secret;
  /** Epoch `ms` at which what proved it ends; absent where that has no end of its own. */
  readonly provenUntil?: number;
}

/** What the workload holds in place of credentials. Worthless anywhere but at this proxy. */
export interface Placeholders {
  /** `sk-placeholder-…` */
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
}
