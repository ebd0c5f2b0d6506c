/**
 * Duty: the evidence of one exchange: what was intended before the credential left, and how it ended.
 * In → Out: nouns of the hops → lines for the sink.
 * Holds: fields are named one by one, never a header map, never a query; a credential cannot leave without its intent.
 * Fails: `audit_unavailable`, before anything was sent.
 * Not here: how a line gets to the disk (sinks/).
 */

import type { Authority } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import type { EgressError } from '../core/errors.ts';
import type { RequestHead } from '../core/message.ts';
import type { Denial } from '../core/reasons.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { Connection } from '../listener/connection.ts';
import type { Workload } from '../workload/workload.ts';
import * as key from './keys.ts';

export interface AuditSink {
  /** Resolves when the line would survive the end of this process. @throws EgressError `audit_unavailable`. */
  write(line: AuditLine): Promise<void>;
  /** Writes with the next line or soon; failure shows at the next `write`. */
  writeLater(line: AuditLine): void;
  close(): Promise<void>;
}

/** Flat: JSON scalars and arrays of strings. The sink adds sequence, time and chain. */
export type AuditLine = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface ExchangeOutcome {
  /** Status that the workload got; 0 where it got none. */
  readonly status: number;
  readonly scrubbed: number;
  readonly responseBytes: number;
}

export interface ExchangeRecord {
  readonly id: string;
  /** Before a credential is written. @throws EgressError `audit_unavailable`. */
  intend(request: AuthorizedRequest): Promise<void>;
  denied(denial: Denial): void;
  failed(error: EgressError): void;
  /** Since the head was read, in `ms`. */
  elapsedMs(): number;
  /** Exactly once, in every case. */
  complete(outcome: ExchangeOutcome): void;
}

export interface AuditStage {
  open(connection: Connection, workload: Workload, head: RequestHead): ExchangeRecord;
  /** A connection that never came to an exchange. */
  refused(
    connection: Connection,
    workload: Workload | null,
    authority: Authority | null,
    reason: Denial | EgressError,
  ): void;
  /** Starts, reloads, leases: what is neither exchange nor refusal. */
  note(line: AuditLine): void;
  close(): Promise<void>;
}

export function createAuditStage(sink: AuditSink, clock: Clock): AuditStage {
  let count = 0;
  return {
    open: (connection, workload, head) => {
      count += 1;
      return new OpenRecord(sink, clock, `${connection.id}-${count.toString(36)}`, { connection, workload, head });
    },
    refused: (connection, workload, authority, reason) => {
      sink.writeLater({
        [key.KIND]: 'refusal',
        [key.CONNECTION]: connection.id,
        [key.REMOTE]: connection.remote.address,
        ...(workload === null ? {} : whoIs(workload)),
        [key.AUTHORITY]: authority?.text ?? null,
        ...reasonFields(reason),
      });
    },
    note: (line) => sink.writeLater(line),
    close: () => sink.close(),
  };
}

interface Subject {
  readonly connection: Connection;
  readonly workload: Workload;
  readonly head: RequestHead;
}

class OpenRecord implements ExchangeRecord {
  readonly id: string;
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #subject: Subject;
  readonly #startedMs: number;
  #intended = false;
  #reason: Denial | EgressError | null = null;

  constructor(sink: AuditSink, clock: Clock, id: string, subject: Subject) {
    this.id = id;
    this.#sink = sink;
    this.#clock = clock;
    this.#subject = subject;
    this.#startedMs = clock.monotonicMs();
  }

  async intend(request: AuthorizedRequest): Promise<void> {
    const { facts } = request.permit;
    const lease = request.credential?.lease;
    await this.#sink.write({
      [key.KIND]: 'intent',
      [key.EXCHANGE]: this.id,
      [key.CONNECTION]: this.#subject.connection.id,
      ...whoIs(this.#subject.workload),
      ...this.#asked(),
      [key.SERVICE]: facts.service.name,
      [key.RULE]: facts.rule,
      [key.REVISION]: facts.revision,
      [key.BINDING]: facts.binding?.name ?? null,
      [key.SOURCE]: request.credential?.source ?? null,
      [key.LEASE]: lease?.idPrefix ?? null,
      [key.ACCESSOR]: lease?.accessor ?? null,
      [key.GENERATION]: request.credential?.generation ?? null,
      [key.INJECTED]: request.injected,
    });
    this.#intended = true;
  }

  denied(denial: Denial): void {
    this.#reason = denial;
  }

  failed(error: EgressError): void {
    this.#reason = error;
  }

  complete(outcome: ExchangeOutcome): void {
    // Without an intent the completion is the only record, so it says who asked what as well.
    const whole = this.#intended
      ? {}
      : { [key.CONNECTION]: this.#subject.connection.id, ...whoIs(this.#subject.workload), ...this.#asked() };
    this.#sink.writeLater({
      [key.KIND]: 'completion',
      [key.EXCHANGE]: this.id,
      ...whole,
      ...(this.#reason === null ? { [key.OUTCOME]: 'completed' } : reasonFields(this.#reason)),
      [key.STATUS]: outcome.status,
      [key.RESPONSE_BYTES]: outcome.responseBytes,
      [key.SCRUBBED]: outcome.scrubbed,
      [key.DURATION_MS]: Math.round(this.elapsedMs() * 1_000) / 1_000,
    });
  }

  elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }

  #asked(): AuditLine {
    const { head } = this.#subject;
    return {
      [key.METHOD]: head.method,
      [key.AUTHORITY]: head.authority?.text ?? null,
      [key.PATH]: head.path.slice(0, MAX_PATH_LENGTH),
    };
  }
}

const MAX_PATH_LENGTH = 1_024;

function whoIs(workload: Workload): AuditLine {
  return {
    [key.SPIFFE_ID]: workload.spiffeId.uri,
    [key.INSTANCE]: workload.instance,
    [key.EVIDENCE]: workload.evidence,
  };
}

function reasonFields(reason: Denial | EgressError): AuditLine {
  if ('reason' in reason) {
    return {
      [key.OUTCOME]: 'denied',
      [key.CODE]: reason.reason,
      [key.RULE]: reason.rule,
      [key.REVISION]: reason.revision,
    };
  }
  const outcome = reason.code === 'downstream_aborted' ? 'aborted' : 'failed';
  return { [key.OUTCOME]: outcome, [key.CODE]: reason.code, [key.DETAIL]: reason.detail };
}
