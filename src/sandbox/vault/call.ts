/**
 * Duty: the words between the sandbox Vault's HTTP door, its router and what is mounted in it.
 * Not here: answers (reply.ts), reading fields with types (fields.ts).
 */
import type { Fields } from './fields.ts';
import type { VaultReply } from './reply.ts';
import type { Token } from './tokens.ts';

export type Operation = 'read' | 'update' | 'delete' | 'list' | 'patch';

export interface RoutedRequest {
  readonly operation: Operation;
  /** Below `/v1/`, decoded. */
  readonly path: string;
  readonly fields: Fields;
  /** Empty: none shown. */
  readonly token: string;
  /** 0: the answer is not to be wrapped. */
  readonly wrapTtlMs: number;
}

export interface VaultCall {
  readonly operation: Operation;
  /** Below the mount: `creds/ai-agent` for `/v1/openai/creds/ai-agent`. */
  readonly path: string;
  /** With the mount. */
  readonly fullPath: string;
  readonly fields: Fields;
  /** The answer goes out wrapped. */
  readonly isWrapped: boolean;
  /** Null on the paths that need no token. */
  readonly token: Token | null;
  /** The lease id that this call's secret will have, if it answers with one. */
  readonly leaseId: string;
}

/** Secrets engines, auth methods and the system backend alike: whatever is mounted. */
export interface Backend {
  readonly type: string;
  handle(call: VaultCall): VaultReply | Promise<VaultReply>;
  /** False where an update would create, which asks for another capability; absent: every update is one. */
  exists?(path: string): boolean;
  /** Paths below the mount that need no token. */
  isOpen?(path: string): boolean;
}
