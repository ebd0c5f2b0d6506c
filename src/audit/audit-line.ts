/**
 * Duty: the fields of audit records; programs that read the record depend on their names.
 * Holds: flat; no header map, no query, nothing secret.
 */
import type { Workload } from '../workload/workload.ts';

/** JSON scalars and arrays of strings. The sink adds sequence, time and chain. */
export type AuditLine = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** A line that is JSON already: an object with at least one member, without line breaks. */
export type AuditText = string;

/** Who asked, as both kinds of record of an exchange say it. */
export type Caller = Readonly<{ spiffeId: string; instance: string | null; evidence: readonly string[] }>;

/** `protocol`: only where it is not HTTP/1. `way`: only where the client knows no proxy. `original`: what it dialled, where that is known. */
export type Asked = Readonly<{
  method: string;
  authority: string | null;
  path: string;
  protocol?: 'http/2';
  way?: 'gateway' | 'redirected';
  original?: string;
}>;

/** Before the credential leaves. */
export type IntentLine = Caller &
  Asked &
  Readonly<{
    kind: 'intent';
    exchange: string;
    connection: string;
    service: string;
    rule: string;
    revision: string;
    binding: string | null;
    source: string | null;
    /** Prefix of the lease id. */
    lease: string | null;
    accessor: string | null;
    generation: number | null;
    injected: string;
    /** Only where the request leaves once more: the status with which the upstream had refused the key of before. */
    refusedStatus?: number;
  }>;

/** How it ended. */
export type CompletionLine = Readonly<{
  kind: 'completion';
  exchange: string;
  outcome: 'completed' | 'denied' | 'failed' | 'aborted';
  status: number;
  responseBytes: number;
  scrubbed: number;
  durationMs: number;
}>;

export type RefusalLine = Readonly<{
  kind: 'refusal';
  connection: string;
  remote: string;
  authority: string | null;
  way?: 'gateway' | 'redirected';
  original?: string;
}>;

export function callerOf({ spiffeId, instance, evidence }: Workload): Caller {
  return { spiffeId: spiffeId.uri, instance, evidence };
}
