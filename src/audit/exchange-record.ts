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
import type { RelayTally, RequestHead } from '../core/message.ts';
import type { Denial } from '../core/reasons.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { Connection } from '../listener/connection.ts';
import type { Workload } from '../workload/workload.ts';
import {
  type Asked,
  type AuditLine,
  type AuditText,
  type CompletionLine,
  callerOf,
  type IntentLine,
  type RefusalLine,
} from './audit-line.ts';

export type { AuditLine, AuditText };

export interface AuditSink {
  /** Resolves when the line would survive the end of this process. @throws EgressError `audit_unavailable`. */
  write(line: AuditLine | AuditText): Promise<void>;
  /** Writes with the next line or soon; failure shows at the next `write`. */
  writeLater(line: AuditLine | AuditText): void;
  close(): Promise<void>;
}

export interface ExchangeOutcome {
  /** Status that the workload got; 0 where it got none. */
  readonly status: number;
  readonly scrubbed: number;
  readonly responseBytes: number;
}

export interface ExchangeRecord {
  readonly id: string;
  /**
   * Before a credential is written. `refusedStatus`: of the answer that makes it leave once more.
   * @throws EgressError `audit_unavailable`.
   */
  intend(request: AuthorizedRequest, refusedStatus?: number): Promise<void>;
  denied(denial: Denial): void;
  failed(error: EgressError): void;
  /** Since the head was read, in `ms`. */
  elapsedMs(): number;
  /** Exactly once, in every case. `tally`: of a WebSocket. */
  complete(outcome: ExchangeOutcome, tally?: RelayTally | null): void;
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
      const line: RefusalLine = {
        kind: 'refusal',
        connection: connection.id,
        remote: connection.remote.address,
        authority: authority?.text ?? null,
        ...wayOf(connection),
      };
      sink.writeLater({ ...line, ...(workload === null ? {} : callerOf(workload)), ...reasonFields(reason) });
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

  async intend(request: AuthorizedRequest, refusedStatus?: number): Promise<void> {
    const { facts } = request.permit;
    const { credential } = request;
    const { workload, connection, head } = this.#subject;
    // Written out field by field: this runs for every request, and a spread costs more than all the rest.
    const line: IntentLine = {
      kind: 'intent',
      exchange: this.id,
      connection: connection.id,
      spiffeId: workload.spiffeId.uri,
      instance: workload.instance,
      evidence: workload.evidence,
      method: head.method,
      authority: head.authority?.text ?? null,
      path: shownPath(head),
      service: facts.service.name,
      rule: facts.rule,
      revision: facts.revision,
      binding: facts.binding?.name ?? null,
      source: credential?.source ?? null,
      lease: credential?.lease?.idPrefix ?? null,
      accessor: credential?.lease?.accessor ?? null,
      generation: credential?.generation ?? null,
      injected: request.injected,
    };
    const isUsual = head.version !== '2' && connection.way !== 'gateway' && connection.way !== 'redirected';
    const told: IntentLine = isUsual ? line : { ...line, ...this.#manner() };
    await this.#sink.write(refusedStatus === undefined ? told : { ...told, refusedStatus });
    this.#intended = true;
  }

  denied(denial: Denial): void {
    this.#reason = denial;
  }

  failed(error: EgressError): void {
    this.#reason = error;
  }

  complete({ status, responseBytes, scrubbed }: ExchangeOutcome, tally: RelayTally | null = null): void {
    const durationMs = Math.round(this.elapsedMs() * 1_000) / 1_000;
    const line: CompletionLine = {
      kind: 'completion',
      exchange: this.id,
      outcome: outcomeOf(this.#reason),
      status,
      responseBytes,
      scrubbed,
      durationMs,
    };
    const told = this.#intended && this.#reason === null ? line : this.#explained(line);
    this.#sink.writeLater(tally === null ? told : { ...told, ...tally });
  }

  /** Without an intent the completion is the only record, so it says who asked what as well. */
  #explained(line: CompletionLine): AuditLine {
    const { connection, workload } = this.#subject;
    const whole = this.#intended ? {} : { connection: connection.id, ...callerOf(workload), ...this.#asked() };
    return { ...line, ...whole, ...(this.#reason === null ? {} : reasonFields(this.#reason)) };
  }

  elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }

  #asked(): Asked {
    const { head } = this.#subject;
    const asked = { method: head.method, authority: head.authority?.text ?? null, path: shownPath(head) };
    return { ...asked, ...this.#manner() };
  }

  /** What is said only where it is not as it usually is. */
  #manner(): Pick<Asked, 'protocol' | 'way' | 'original'> {
    const { head, connection } = this.#subject;
    return { ...(head.version === '2' ? { protocol: 'http/2' } : {}), ...wayOf(connection) };
  }
}

function wayOf({ way, original }: Connection): Pick<Asked, 'way' | 'original'> {
  if (way !== 'gateway' && way !== 'redirected') return {};
  if (original === undefined) return { way };
  const { address, port } = original;
  return { way, original: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}` };
}

const MAX_PATH_LENGTH = 1_024;

const shownPath = ({ path }: RequestHead): string =>
  path.length > MAX_PATH_LENGTH ? path.slice(0, MAX_PATH_LENGTH) : path;

function outcomeOf(reason: Denial | EgressError | null): CompletionLine['outcome'] {
  if (reason === null) return 'completed';
  if ('reason' in reason) return 'denied';
  return reason.code === 'downstream_aborted' ? 'aborted' : 'failed';
}

function reasonFields(reason: Denial | EgressError): AuditLine {
  const outcome = outcomeOf(reason);
  if ('reason' in reason) return { outcome, code: reason.reason, rule: reason.rule, revision: reason.revision };
  return { outcome, code: reason.code, detail: reason.detail };
}
