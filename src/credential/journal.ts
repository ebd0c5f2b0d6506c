/**
 * Duty: the words for what must be revoked although the process that obtained it has crashed.
 * Holds: names of tokens and leases, never a token or a credential: who reads it can revoke nothing without a right of its own.
 * Not here: the file (store/lease-journal.ts), who revokes (sources/janitor.ts).
 */

export interface JournalFacts {
  readonly source: string;
  readonly workload: string;
  /** Of the token that owns the lease; null where it has none, as batch tokens. */
  readonly accessor: string | null;
  /** Only where there is no accessor. */
  readonly leaseId: string | null;
  /** Epoch `ms`: it is gone then, whatever happens. */
  readonly endsAt: number;
}

export interface Orphan extends JournalFacts {
  readonly id: string;
}

export interface JournalNote {
  /** It lives on, until `endsAt`. */
  extend(endsAt: number): void;
  /** It is revoked. Idempotent. */
  end(): void;
  /** It could not be revoked: an orphan from now on. */
  abandon(): void;
}

export interface LeaseJournal {
  /** What a run before this one left or this one abandoned, and nobody has revoked since. */
  orphans(): readonly Orphan[];
  /** On record when this returns. Never throws. */
  note(facts: JournalFacts): JournalNote;
  /** The orphan is gone. */
  settle(orphan: Orphan): void;
}
