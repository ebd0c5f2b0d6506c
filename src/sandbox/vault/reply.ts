/**
 * Duty: what the sandbox Vault answers, before it is JSON.
 * In → Out: data, leases, warnings, refusals → `VaultReply`, one of three shapes.
 * Holds: a refusal is a value, because most of what a Vault is asked wrongly is foreseen by its protocol, status and text included.
 * Source: Vault HTTP API, "Response" envelope; statuses as OpenBao 2.x sends them.
 * Not here: writing the envelope (envelope.ts), what is asked (call.ts).
 */

export type JsonObject = Record<string, unknown>;

export interface LeaseWish {
  readonly ttlMs: number;
  /** 0: the mount's. */
  readonly maxTtlMs: number;
  readonly renewable: boolean;
  /** Ends the credential at its provider. */
  readonly revoke: () => void;
}

export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly data: JsonObject | null;
  readonly lease: LeaseWish | null;
  /** Top-level lease fields of an answer that has no lease of its own in the table. */
  readonly leaseShown: { readonly id: string; readonly durationMs: number; readonly renewable: boolean } | null;
  readonly auth: JsonObject | null;
  readonly wrapInfo: JsonObject | null;
  readonly warnings: readonly string[];
  /** Data stands at the top level too, as old clients of sys/ want it. */
  readonly isSpread: boolean;
}

/** `{"errors": […]}`; no texts: an empty list, as with 404. */
export interface Refusal {
  readonly kind: 'refusal';
  readonly status: number;
  readonly errors: readonly string[];
}

/** A body without the envelope; null: none at all. */
export interface RawReply {
  readonly kind: 'raw';
  readonly status: number;
  readonly body: JsonObject | null;
}

export type VaultReply = Answer | Refusal | RawReply;

const EMPTY_ANSWER: Answer = {
  kind: 'answer',
  status: 200,
  data: null,
  lease: null,
  leaseShown: null,
  auth: null,
  wrapInfo: null,
  warnings: [],
  isSpread: false,
};

export function answer(parts: Partial<Omit<Answer, 'kind'>>): Answer {
  return { ...EMPTY_ANSWER, ...parts };
}

export function answerData(data: JsonObject): Answer {
  return answer({ data });
}

/** An empty list is 404 in Vault. */
export function answerKeys(keys: readonly string[]): VaultReply {
  return keys.length === 0 ? notFound() : answerData({ keys: [...keys].sort() });
}

/** 204, or 200 where there is something to warn of. */
export function done(warnings: readonly string[] = []): VaultReply {
  return warnings.length === 0 ? { kind: 'raw', status: 204, body: null } : answer({ warnings });
}

export function refuse(status: number, ...errors: readonly string[]): Refusal {
  return { kind: 'refusal', status, errors };
}

export function notFound(): Refusal {
  return refuse(404);
}

/** Errors of several causes are written as a list, which is how a client sees a denial by policy. */
const listed = (text: string): string => `1 error occurred:\n\t* ${text}\n\n`;

export function permissionDenied(): Refusal {
  return refuse(403, listed('permission denied'));
}

export function unsupportedOperation(): Refusal {
  return refuse(405, listed('unsupported operation'));
}

export function unsupportedPath(): Refusal {
  return refuse(404, listed('unsupported path'));
}
