/**
 * Duty: the audit sink of a worker: the owner's, over the private channel.
 * In → Out: line → acknowledged when the owner has written it.
 * Holds: lines of one turn of the event loop go together, and what nobody waits for goes with the next intent or soon; an
 *   intent is acknowledged before its credential can leave.
 * Fails: `audit_unavailable`, also when the owner is gone.
 */
import type { AuditLine, AuditSink } from '../audit/exchange-record.ts';
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { carry } from './audit-lines.ts';
import type { Channel } from './channel.ts';
import { TOPIC } from './topics.ts';

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: EgressError) => void;
}

/** A worker that dies within this loses so much of its record, and the owner says then that it does not know. */
const LATER_MS = 5;

export class RemoteAudit implements AuditSink {
  readonly #channel: Channel;
  readonly #clock: Clock;
  #lines: string[] = [];
  #waiting: Waiting[] = [];
  #isScheduled = false;
  #later: ScheduledTask | null = null;

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  write(line: AuditLine): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#lines.push(carry(line));
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      setImmediate(() => this.#send());
    });
  }

  writeLater(line: AuditLine): void {
    this.#lines.push(carry(line));
    if (!this.#isScheduled) this.#later ??= this.#clock.schedule(LATER_MS, () => this.#send());
  }

  /** What waits is sent; the owner has it when the channel closes. */
  async close(): Promise<void> {
    this.#send();
  }

  #send(): void {
    const waiting = this.#waiting;
    const text = this.#lines.join('\n');
    this.#isScheduled = false;
    this.#later?.cancel();
    this.#later = null;
    this.#lines = [];
    this.#waiting = [];
    if (text === '') return;
    if (waiting.length === 0) this.#channel.tell(TOPIC.auditLater, text);
    else
      this.#channel
        .ask(TOPIC.audit, text, () => {})
        .then(
          () => {
            for (const { resolve } of waiting) resolve();
          },
          (cause: unknown) => {
            for (const { reject } of waiting) reject(new EgressError('audit_unavailable', { cause }));
          },
        );
    this.#channel.flush();
  }
}
